"""A task from its claim to its report, in virtual time, with an extractor that calls a test's function."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.service_doubles import ScriptedDispatcher, SteadyRandom, claim_of
from support.virtual_time import VirtualClock
from support.worker import PAYLOAD

from cryo_ingest.errors import CryoFailed
from cryo_ingest.ports import AlreadyStored, Changed, Extraction, ExtractionRequest, ProveFile, Workspace
from cryo_ingest.redact import Redactor
from cryo_ingest.serve.attempt_runner import AttemptRunner
from cryo_ingest.serve.ports import FENCED, CompletionRejected, DispatcherUnavailable, LeaseLost
from cryo_ingest.serve.shutdown import Shutdown
from cryo_ingest.serve.status import Status
from cryo_ingest.settings import Settings
from cryo_ingest.wiring import make_ports
from harness.stores.memory import MemoryStore

GRACE_SECONDS = 24.0
FAILED = CryoFailed(block_range="0:1", ended="ended", chunks_done=0, chunks=1, hint="", tail=())
FAULT = DispatcherUnavailable("heartbeat", "answered 503")


class Extractor:
    """Calls a test's function instead of running Cryo, and records a cancellation."""

    def __init__(self, act: Callable[[], Awaitable[object]]) -> None:
        self._act = act
        self.started = self.cancelled = False

    async def extract(self, request: ExtractionRequest, *, prove: ProveFile) -> Extraction:
        """Call the function, then fail."""
        del request, prove
        self.started = True
        try:
            await self._act()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise FAILED


class Staging:
    """Staging without directories: virtual time does not wait for threads."""

    def __init__(self, dispatcher: ScriptedDispatcher) -> None:
        self._dispatcher = dispatcher
        self.acquired: set[tuple[str, int]] = set()
        self.reports_before_discard: int | None = None

    async def acquire(self, task_id: str, attempt: int) -> Workspace:
        """Record it."""
        self.acquired.add((task_id, attempt))
        return Workspace(Path("nowhere"), 0)

    async def discard(self, task_id: str, attempt: int) -> None:
        """Record it, with the number of reports so far."""
        self.acquired.discard((task_id, attempt))
        self.reports_before_discard = len(self._dispatcher.reports)

    async def sweep(self) -> int:
        """Delete nothing."""
        return 0


class World:
    """A runner with all its collaborators in memory."""

    def __init__(self, act: Callable[[], Awaitable[object]] | None = None) -> None:
        self.clock = VirtualClock()
        self.dispatcher = ScriptedDispatcher(self.clock)
        self.extractor = Extractor(act or self.never_end)
        self.shutdown = Shutdown(GRACE_SECONDS, self.clock)
        self.store = MemoryStore(AlreadyStored, Changed)
        self.staging = Staging(self.dispatcher)
        self.redactor = Redactor([])
        real_ports = make_ports(Settings(), self.store, redactor=self.redactor)
        ports = replace(real_ports, extractor=self.extractor, staging=self.staging)
        self.status = Status(self.shutdown)
        self.runner = AttemptRunner(
            self.dispatcher, ports, Settings(), self.shutdown, self.clock, SteadyRandom(), self.redactor, self.status
        )

    async def never_end(self) -> None:
        """Wait without end."""
        await asyncio.Event().wait()

    def run(self, payload: object = PAYLOAD) -> bool:
        """Run one attempt."""
        return self.clock.run(self.runner.run(claim_of(payload)))

    def is_clean(self) -> bool:
        """Return whether no directory is left, none was deleted before the report, and nothing was stored."""
        discarded = not self.staging.acquired and self.staging.reports_before_discard == len(self.dispatcher.reports)
        return discarded and asyncio.run(self.store.list("")) == {}


@pytest.mark.parametrize(("payload", "outcome"), [(PAYLOAD, "retryable_error"), ({}, "fatal_error")])
def test_out_1_a_failure_is_reported_with_its_outcome_and_message(payload: object, outcome: str):
    """OUT-1, PUB-3, STG-8: there is one report, no publication, and no directory."""
    world = World(lambda: asyncio.sleep(0))
    assert world.run(payload)
    (report,) = world.dispatcher.reports
    assert (report.outcome, report.publication) == (outcome, None)
    assert report.error_message
    assert world.is_clean()


def test_lse_3_a_lease_that_is_not_renewed_stops_the_attempt_at_its_local_end():
    """LSE-3: Cryo is cancelled, nothing is reported, and the wake-up is not acknowledged."""
    world = World()
    world.dispatcher.heartbeats = [FAULT]
    assert not world.run()
    assert world.extractor.cancelled
    assert world.clock.now == 1055
    assert world.dispatcher.reports == []
    assert world.is_clean()


@pytest.mark.parametrize("status", [409, 401])
def test_lse_5_a_lost_lease_stops_the_attempt_and_a_409_acknowledges_the_wake_up(status: int):
    """LSE-3, LSE-5, LSE-1: the wake-up is acknowledged after 409, but not after 401 or 403."""
    world = World()
    world.dispatcher.heartbeats = [None, LeaseLost("by script", fenced=status == FENCED)]
    assert world.run() is (status == FENCED)
    assert world.clock.now == 1040
    assert world.dispatcher.reports == []
    assert world.is_clean()


def test_lse_4_an_unfinished_attempt_is_handed_back_before_the_grace_period_ends():
    """LSE-4: 8 s before the end of the 24 s Cryo is stopped, and the attempt reported as retryable."""
    world = World()

    async def shut_down() -> bool:
        async with asyncio.TaskGroup() as group:
            enforcing = group.create_task(world.shutdown.enforce())
            world.shutdown.begin(signal.SIGTERM)
            done = await world.runner.run(claim_of(PAYLOAD))
            enforcing.cancel()
        return done

    assert world.clock.run(shut_down())
    (report,) = world.dispatcher.reports
    assert report.outcome == "retryable_error"
    assert "TRACE_SHUTDOWN_GRACE_SECONDS" in str(report.error_message)
    assert world.clock.now == 1016
    assert world.extractor.cancelled
    assert world.is_clean()


def test_out_1_a_bug_is_reported_as_retryable_with_only_its_name():
    """OUT-1: the exception's text, which may contain secrets, is only in the redacted log."""

    async def bug() -> None:
        raise KeyError("c4pability-canary")

    world = World(bug)
    with capture_logs() as logged:
        assert world.run()
    (report,) = world.dispatcher.reports
    assert report.outcome == "retryable_error"
    assert "KeyError" in str(report.error_message)
    assert "canary" not in str(report.error_message)
    assert [event["event"] for event in logged if event["log_level"] == "error"] == [
        "attempt.crashed",
        "attempt.failed",
    ]
    assert world.is_clean()


def test_out_1_a_rejected_report_does_not_acknowledge_the_wake_up():
    """OUT-1: the attempt is not reported, and its lease expires."""
    world = World(lambda: asyncio.sleep(0))
    world.dispatcher.completions = [CompletionRejected(400)]
    assert not world.run()
    assert world.is_clean()


def test_sec_1_the_tokens_are_redacted_during_the_attempt():
    """SEC-1: tokens are secrets until their attempt ends."""
    seen: list[str] = []

    async def leak() -> None:
        seen.append(world.redactor("c4pability-canary and l3ase-canary"))

    world = World(leak)
    world.run()
    assert seen == ["<redacted> and <redacted>"]
    assert world.redactor("c4pability-canary") == "c4pability-canary"
