"""A slot: from a wake-up to its acknowledgement, with every collaborator a double."""

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
    """Runs no attempt: takes its time and says whether the wake-up has done its work, or fails."""

    clock: VirtualClock
    done: bool = True
    seconds: float = 0.0
    bug: Exception | None = None
    ran: list[Claim] = field(default_factory=list)

    async def run(self, claim: Claim) -> bool:
        """Do so."""
        self.ran.append(claim)
        await self.clock.sleep(self.seconds)
        if self.bug is not None:
            raise self.bug
        return self.done


class World:
    """A slot that works through a list of messages and then drains."""

    def __init__(self, *bodies: str, claims: list[Any] | None = None, **runner: Any) -> None:
        self.clock = VirtualClock()
        self.shutdown = Shutdown(24, self.clock)
        self.queue = ListQueue(list(bodies), on_empty=lambda: self.shutdown.begin(signal.SIGTERM))
        self.dispatcher = ScriptedDispatcher(self.clock, claims=claims or [claim_of()])
        self.runner = Runner(self.clock, **runner)
        self.status = Status(self.shutdown)

    def run(self) -> list[tuple[Any, ...]]:
        """Work the messages off and return what was done to them."""
        runner = cast("AttemptRunner", self.runner)
        consumer = Consumer(
            self.queue, self.dispatcher, runner, self.shutdown, self.status, self.clock, backoff(), backoff(), 8
        )
        self.clock.run(consumer.run())
        return self.queue.asked


def test_lse_1_a_message_is_acknowledged_after_its_attempt():
    """OUT-1, LSE-1: claimed, run, then deleted."""
    world = World(WAKE_UP)
    assert world.run() == [("acknowledge", WAKE_UP)]
    assert len(world.runner.ran) == 1
    assert world.status.counts == {"attempts": 1, "running": 0}


def test_lse_1_a_task_that_is_not_to_be_had_is_acknowledged_and_left_alone():
    """LSE-1: no attempt, and the message goes."""
    world = World(WAKE_UP, claims=[NotClaimed("AlreadyRunning")])
    assert world.run() == [("acknowledge", WAKE_UP)]
    assert world.runner.ran == []


def test_a_message_whose_attempt_was_not_reported_is_left_to_come_back():
    """The wake-up outlives an attempt of which nobody knows."""
    assert World(WAKE_UP, done=False).run() == []


MALFORMED = ["", "null", "[]", "{}", '{"task_id": 5}', '{"task_id": "x"}', "{" * 5000, '"' + TASK_ID + '"', "[" * 9000]


def test_a_malformed_message_is_acknowledged_and_counted_and_the_slot_goes_on():
    """The queue: one bad message costs nothing but itself; its text is not repeated."""
    world = World(*MALFORMED, WAKE_UP)
    with capture_logs() as logged:
        asked = world.run()
    assert asked == [("acknowledge", body) for body in [*MALFORMED, WAKE_UP]]
    assert world.status.counts["malformed"] == len(MALFORMED)
    assert len([event for event in logged if event["event"] == "wakeup.malformed"]) == len(MALFORMED)
    assert len(world.runner.ran) == 1


def test_a_task_id_is_lower_cased():
    """PAY-5: everywhere after parsing."""
    assert parse_wakeup(json.dumps({"task_id": TASK_ID.upper()})) == TASK_ID


def test_lse_5_without_an_answer_to_its_claim_a_message_stays_and_the_service_is_not_ready():
    """LSE-5: it may be had again after the pause, which grows; the next good answer makes the service ready."""
    world = World(WAKE_UP, WAKE_UP, WAKE_UP, claims=[DOWN, DOWN, claim_of()])
    seen: set[str] = set()
    world.queue.on_asked = lambda: seen.update(world.status.reasons_not_ready())
    assert world.run() == [("hide", WAKE_UP, 1), ("hide", WAKE_UP, 2), ("acknowledge", WAKE_UP)]
    assert world.clock.now == 1000 + 1 + 2
    assert seen == {"the queue has not answered yet", "the dispatcher does not let tasks be claimed"}
    assert world.status.dispatcher_ok


def test_a_message_is_hidden_from_others_while_its_attempt_runs():
    """The queue: its visibility is extended every 20 s, and not after the attempt."""
    world = World(WAKE_UP, seconds=50)
    assert world.run() == [("hide", WAKE_UP, 60), ("hide", WAKE_UP, 60), ("acknowledge", WAKE_UP)]


def test_an_extension_that_fails_disturbs_nothing():
    """The queue: a duplicate delivery is normal, so the attempt goes on."""
    world = World(WAKE_UP, seconds=50)
    world.queue.faults["hide"] = [QueueUnavailable("ChangeMessageVisibility", "ServiceUnavailable")]
    assert world.run() == [("hide", WAKE_UP, 60), ("acknowledge", WAKE_UP)]


@pytest.mark.parametrize("operation", ["receive", "acknowledge"])
def test_a_queue_that_fails_is_asked_again_later(operation: str):
    """The queue: the slot backs off and goes on."""
    world = World(WAKE_UP, WAKE_UP)
    world.queue.faults[operation] = [QueueUnavailable(operation, "ServiceUnavailable")]
    assert world.run()[-1] == ("acknowledge", WAKE_UP)
    assert world.clock.now == 1001


def test_a_bug_met_with_one_message_ends_neither_the_slot_nor_the_message():
    """One attempt's failure never touches another."""
    world = World(WAKE_UP, WAKE_UP, bug=ZeroDivisionError())
    with capture_logs() as logged:
        assert world.run() == []
    assert len(world.runner.ran) == 2
    assert [event["event"] for event in logged].count("wakeup.crashed") == 2


def test_lse_4_a_message_that_came_with_the_signal_is_given_back_unclaimed():
    """LSE-4: no new task once the service drains."""
    world = World(WAKE_UP)
    world.queue.on_asked = lambda: world.shutdown.begin(signal.SIGTERM)
    assert world.run() == [("hide", WAKE_UP, 0)]
    assert world.dispatcher.asked == []


def test_lse_4_a_pause_ends_with_the_signal():
    """LSE-4: whoever backs off does not hold the end up."""
    world = World(WAKE_UP, claims=[DOWN])

    async def main() -> None:
        runner = cast("AttemptRunner", world.runner)
        consumer = Consumer(
            world.queue, world.dispatcher, runner, world.shutdown, world.status, world.clock, backoff(600), backoff(), 8
        )
        consumer.backoff.failures = 9
        running = asyncio.ensure_future(consumer.run())
        while not world.queue.asked:
            await asyncio.sleep(0)
        world.shutdown.begin(signal.SIGTERM)
        await running

    world.clock.run(main())
    assert world.clock.now == 1000


def test_a_machine_whose_attempts_all_fail_is_not_ready_and_pauses():
    """OUT-4: a wrong clock or an expired token is the machine's: no task after the other is burnt on it."""
    world = World(WAKE_UP, WAKE_UP, WAKE_UP)
    world.status.record_outcome(Failure(ClockSkewed(difference_seconds=900.0)))
    assert world.status.reasons_not_ready()[-1] == "the last attempt ended as ClockSkewed"
    world.run()
    assert len(world.runner.ran) == 3
    assert world.clock.now > 1000.0
    world.status.record_outcome(Failure(StoreUnavailable(operation="put", key="k", reason="HTTP 503")))
    assert world.status.machine_problem is None
