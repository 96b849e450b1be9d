"""A consumer, from a wake-up to its acknowledgement; all collaborators are doubles."""

import asyncio
import json
import signal
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from structlog.testing import capture_logs
from support.service_doubles import TASK_ID, ListQueue, ScriptedDispatcher, backoff, claim_of
from support.virtual_time import VirtualClock

from cryo_ingest.attempt import Failure
from cryo_ingest.errors import ClockSkewed, StoreUnavailable
from cryo_ingest.serve.attempt_runner import AttemptRunner
from cryo_ingest.serve.consumer import Consumer, parse_wakeup
from cryo_ingest.serve.ports import Claim, DispatcherUnavailable, NotClaimed, QueueUnavailable
from cryo_ingest.serve.shutdown import Shutdown
from cryo_ingest.serve.status import Status

WAKE_UP = json.dumps({"task_id": TASK_ID, "unknown": 1})
DOWN = DispatcherUnavailable("claim", "answered 503")


@dataclass
class Runner:
    """Instead of running an attempt, waits and returns `done`, or raises `bug`."""

    clock: VirtualClock
    done: bool = True
    seconds: float = 0.0
    bug: Exception | None = None
    ran: list[Claim] = field(default_factory=list)

    async def run(self, claim: Claim) -> bool:
        """Wait, then return or raise."""
        self.ran.append(claim)
        await self.clock.sleep(self.seconds)
        if self.bug is not None:
            raise self.bug
        return self.done


class World:
    """A consumer that processes a list of messages and then drains."""

    def __init__(self, *bodies: str, claims: list[Any] | None = None, **runner: Any) -> None:
        self.clock = VirtualClock()
        self.shutdown = Shutdown(24, self.clock)
        self.queue = ListQueue(list(bodies), on_empty=lambda: self.shutdown.begin(signal.SIGTERM))
        self.dispatcher = ScriptedDispatcher(self.clock, claims=claims or [claim_of()])
        self.runner = Runner(self.clock, **runner)
        self.status = Status(self.shutdown)

    def run(self) -> list[tuple[Any, ...]]:
        """Process the messages and return the queue operations."""
        runner = cast("AttemptRunner", self.runner)
        consumer = Consumer(
            self.queue, self.dispatcher, runner, self.shutdown, self.status, self.clock, backoff(), backoff(), 8
        )
        self.clock.run(consumer.run())
        return self.queue.operations


def test_lse_1_a_message_is_acknowledged_after_its_attempt():
    """OUT-1, LSE-1: its task is claimed and run first."""
    world = World(WAKE_UP)
    assert world.run() == [("acknowledge", WAKE_UP)]
    assert len(world.runner.ran) == 1
    assert world.status.counts == {"attempts": 1, "running": 0}


def test_lse_1_the_wake_up_of_a_task_that_cannot_be_claimed_is_acknowledged():
    """LSE-1: no attempt is run."""
    world = World(WAKE_UP, claims=[NotClaimed("AlreadyRunning")])
    assert world.run() == [("acknowledge", WAKE_UP)]
    assert world.runner.ran == []


def test_the_wake_up_of_an_unreported_attempt_is_not_acknowledged():
    """The queue delivers it again after its visibility timeout."""
    assert World(WAKE_UP, done=False).run() == []


MALFORMED = ["", "null", "[]", "{}", '{"task_id": 5}', '{"task_id": "x"}', "{" * 5000, '"' + TASK_ID + '"', "[" * 9000]


def test_a_malformed_message_is_acknowledged_and_counted():
    """The queue: the consumer continues with the next message."""
    world = World(*MALFORMED, WAKE_UP)
    with capture_logs() as logged:
        operations = world.run()
    assert operations == [("acknowledge", body) for body in [*MALFORMED, WAKE_UP]]
    assert world.status.counts["malformed"] == len(MALFORMED)
    assert len([event for event in logged if event["event"] == "wakeup.malformed"]) == len(MALFORMED)
    assert len(world.runner.ran) == 1


def test_a_task_id_is_lower_cased():
    """PAY-5: ids are in lower case after parsing."""
    assert parse_wakeup(json.dumps({"task_id": TASK_ID.upper()})) == TASK_ID


def test_lse_5_after_a_failed_claim_the_message_stays_and_the_service_is_not_ready():
    """LSE-5: the message is hidden for the pause, which grows; the next successful claim makes the service ready."""
    world = World(WAKE_UP, WAKE_UP, WAKE_UP, claims=[DOWN, DOWN, claim_of()])
    seen: set[str] = set()
    world.queue.on_operation = lambda: seen.update(world.status.reasons_not_ready())
    assert world.run() == [("hide", WAKE_UP, 1), ("hide", WAKE_UP, 2), ("acknowledge", WAKE_UP)]
    assert world.clock.now == 1000 + 1 + 2
    assert seen == {"the queue has not answered yet", "the dispatcher rejects claims"}
    assert world.status.dispatcher_ok


def test_a_message_is_hidden_while_its_attempt_runs():
    """The queue: its visibility timeout is extended every 20 s until the attempt ends."""
    world = World(WAKE_UP, seconds=50)
    assert world.run() == [("hide", WAKE_UP, 60), ("hide", WAKE_UP, 60), ("acknowledge", WAKE_UP)]


def test_a_failed_extension_does_not_end_the_attempt():
    """The queue: duplicate deliveries are normal."""
    world = World(WAKE_UP, seconds=50)
    world.queue.faults["hide"] = [QueueUnavailable("ChangeMessageVisibility", "ServiceUnavailable")]
    assert world.run() == [("hide", WAKE_UP, 60), ("acknowledge", WAKE_UP)]


@pytest.mark.parametrize("operation", ["receive", "acknowledge"])
def test_a_failed_queue_operation_is_retried_later(operation: str):
    """The queue: the consumer backs off and continues."""
    world = World(WAKE_UP, WAKE_UP)
    world.queue.faults[operation] = [QueueUnavailable(operation, "ServiceUnavailable")]
    assert world.run()[-1] == ("acknowledge", WAKE_UP)
    assert world.clock.now == 1001


def test_a_bug_with_one_message_does_not_end_the_consumer():
    """The message is not acknowledged, and the next one is processed."""
    world = World(WAKE_UP, WAKE_UP, bug=ZeroDivisionError())
    with capture_logs() as logged:
        assert world.run() == []
    assert len(world.runner.ran) == 2
    assert [event["event"] for event in logged].count("wakeup.crashed") == 2


def test_lse_4_a_message_received_with_the_signal_is_returned_to_the_queue():
    """LSE-4: a draining service claims no tasks."""
    world = World(WAKE_UP)
    world.queue.on_operation = lambda: world.shutdown.begin(signal.SIGTERM)
    assert world.run() == [("hide", WAKE_UP, 0)]
    assert world.dispatcher.calls == []


def test_lse_4_a_pause_ends_with_the_signal():
    """LSE-4: a backoff does not delay the shutdown."""
    world = World(WAKE_UP, claims=[DOWN])

    async def main() -> None:
        runner = cast("AttemptRunner", world.runner)
        consumer = Consumer(
            world.queue, world.dispatcher, runner, world.shutdown, world.status, world.clock, backoff(600), backoff(), 8
        )
        consumer.backoff.failures = 9
        running = asyncio.ensure_future(consumer.run())
        while not world.queue.operations:
            await asyncio.sleep(0)
        world.shutdown.begin(signal.SIGTERM)
        await running

    world.clock.run(main())
    assert world.clock.now == 1000


def test_a_machine_whose_attempts_all_fail_is_not_ready_and_pauses():
    """OUT-4: with a wrong clock or an expired token every attempt on this machine fails."""
    world = World(WAKE_UP, WAKE_UP, WAKE_UP)
    world.status.record_outcome(Failure(ClockSkewed(difference_seconds=900.0)))
    assert world.status.reasons_not_ready()[-1] == "the last attempt ended as ClockSkewed"
    world.run()
    assert len(world.runner.ran) == 3
    assert world.clock.now > 1000.0
    world.status.record_outcome(Failure(StoreUnavailable(operation="put", key="k", reason="HTTP 503")))
    assert world.status.machine_problem is None
