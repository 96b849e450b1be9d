"""The shutdown of a service, LSE-4, and its sweeps, STG-4, STG-8."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs
from support.virtual_time import VirtualClock

from cryo_ingest.errors import StoppedByShutdown
from cryo_ingest.ports import Workspace
from cryo_ingest.serve.consumer import Consumer
from cryo_ingest.serve.service import Service
from cryo_ingest.serve.shutdown import Shutdown


class Sweeps:
    """A staging double that records its sweeps, and fails the first one."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.times: list[float] = []

    async def acquire(self, task_id: str, attempt: int) -> Workspace:
        """Acquire nothing."""
        return Workspace(Path(task_id), attempt)

    async def discard(self, task_id: str, attempt: int) -> None:
        """Delete nothing."""

    async def sweep(self) -> int:
        """Record the time."""
        self.times.append(self._clock.now)
        if len(self.times) == 1:
            raise PermissionError(13, "Permission denied")
        return 0


class OneConsumer:
    """A consumer that runs a test's function."""

    def __init__(self, act: Callable[[], Awaitable[None]]) -> None:
        self.run = act


def service(clock: VirtualClock, shutdown: Shutdown, *acts: Callable[[], Awaitable[None]]) -> tuple[Service, Sweeps]:
    staging = Sweeps(clock)
    consumers = [cast("Consumer", OneConsumer(act)) for act in acts]
    return Service(consumers, staging, shutdown, clock), staging


def test_stg_8_old_directories_are_swept_at_the_start_and_every_hour():
    """STG-4, STG-8: a failed sweep is logged and does not end the service."""
    clock = VirtualClock()

    async def three_hours() -> None:
        await clock.sleep(3 * 3600 + 1)

    made, staging = service(clock, Shutdown(24, clock), three_hours)
    with capture_logs() as logged:
        assert clock.run(made.run())
    assert staging.times == [1000, 4600, 8200, 11800]
    assert [event["event"] for event in logged] == ["staging.sweep_failed"]


def test_lse_4_what_runs_at_the_end_of_the_grace_period_is_cancelled():
    """LSE-4: it is stopped 8 s before the end of the 24 s and cancelled at the end; the drain is not clean."""
    clock = VirtualClock()
    shutdown = Shutdown(24, clock)
    seen: list[tuple[str, float]] = []

    async def stubborn() -> None:
        try:
            await shutdown.wait_for_stop()
        except StoppedByShutdown:
            seen.append(("stopped", clock.now))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(("cancelled", clock.now))
            raise

    async def main() -> bool:
        shutdown.begin(signal.SIGTERM)
        return await made.run()

    made, _ = service(clock, shutdown, stubborn)
    assert not clock.run(main())
    assert seen == [("stopped", 1016), ("cancelled", 1024)]


def test_lse_4_a_third_of_a_short_grace_period_is_for_handing_back():
    """LSE-4: of 3 s, the last one is for handing back attempts."""
    clock = VirtualClock()
    shutdown = Shutdown(3, clock)

    async def main() -> float:
        shutdown.begin(signal.SIGTERM)
        enforcing = asyncio.ensure_future(shutdown.enforce())
        with pytest.raises(StoppedByShutdown):
            await shutdown.wait_for_stop()
        enforcing.cancel()
        return clock.now

    assert clock.run(main()) == 1002


def test_lse_4_the_signal_cancels_a_poll():
    """LSE-4: a poll of 20 s does not delay the shutdown; its exceptions are raised."""
    clock = VirtualClock()
    shutdown = Shutdown(24, clock)
    cancelled: list[bool] = []

    async def poll() -> str:
        try:
            await clock.sleep(20)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return "message"

    async def fail() -> Any:
        raise LookupError

    async def main() -> None:
        assert await shutdown.cancel_on_drain(poll()) == "message"
        with pytest.raises(LookupError):
            await shutdown.cancel_on_drain(fail())
        polling = asyncio.ensure_future(shutdown.cancel_on_drain(poll()))
        await asyncio.sleep(0)
        shutdown.begin(signal.SIGINT)
        assert await polling is None

    clock.run(main())
    assert cancelled == [True]
    assert clock.now == 1020
