"""The end of a service: LSE-4; and its housekeeping: STG-4, STG-8."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs
from support.virtual_time import VirtualClock

from cryo_ingest.errors import AttemptStopped
from cryo_ingest.ports import Workspace
from cryo_ingest.serve.consumer import Consumer
from cryo_ingest.serve.service import Service
from cryo_ingest.serve.shutdown import Shutdown


class Sweeps:
    """A staging that only notes when it was swept, and fails the first time."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.times: list[float] = []

    async def acquire(self, task_id: str, attempt: int) -> Workspace:
        """Have none."""
        return Workspace(Path(task_id), attempt)

    async def discard(self, task_id: str, attempt: int) -> None:
        """Have none."""

    async def sweep(self) -> int:
        """Note the time."""
        self.times.append(self._clock.now)
        if len(self.times) == 1:
            raise PermissionError(13, "Permission denied")
        return 0


class OneSlot:
    """A slot that does what a test wants."""

    def __init__(self, act: Callable[[], Awaitable[None]]) -> None:
        self.run = act


def service(clock: VirtualClock, shutdown: Shutdown, *acts: Callable[[], Awaitable[None]]) -> tuple[Service, Sweeps]:
    staging = Sweeps(clock)
    slots = [cast("Consumer", OneSlot(act)) for act in acts]
    return Service(slots, staging, shutdown, clock), staging


def test_stg_8_dead_directories_are_looked_for_at_the_start_and_every_hour():
    """STG-4, STG-8: a sweep that fails is logged and does not end the service."""
    clock = VirtualClock()

    async def three_hours() -> None:
        await clock.sleep(3 * 3600 + 1)

    made, staging = service(clock, Shutdown(24, clock), three_hours)
    with capture_logs() as logged:
        assert clock.run(made.run())
    assert staging.times == [1000, 4600, 8200, 11800]
    assert [event["event"] for event in logged] == ["staging.sweep_failed"]


def test_lse_4_what_has_not_ended_when_the_grace_is_over_is_cut_off():
    """LSE-4: told to stop 8 s before the end of 24 s, cancelled at the end, and the drain is not a clean one."""
    clock = VirtualClock()
    shutdown = Shutdown(24, clock)
    seen: list[tuple[str, float]] = []

    async def stubborn() -> None:
        try:
            await shutdown.wait_for_stop()
        except AttemptStopped:
            seen.append(("stopped", clock.now))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(("cut off", clock.now))
            raise

    async def main() -> bool:
        shutdown.begin(signal.SIGTERM)
        return await made.run()

    made, _ = service(clock, shutdown, stubborn)
    assert not clock.run(main())
    assert seen == [("stopped", 1016), ("cut off", 1024)]


def test_lse_4_a_short_grace_keeps_a_third_for_handing_back():
    """LSE-4: 3 s of grace are 2 s of work and 1 s of handing back."""
    clock = VirtualClock()
    shutdown = Shutdown(3, clock)

    async def main() -> float:
        shutdown.begin(signal.SIGTERM)
        enforcing = asyncio.ensure_future(shutdown.enforce())
        with pytest.raises(AttemptStopped):
            await shutdown.wait_for_stop()
        enforcing.cancel()
        return clock.now

    assert clock.run(main()) == 1002


def test_lse_4_what_is_awaited_unless_draining_is_cancelled_by_the_signal():
    """LSE-4: a poll of 20 s does not hold the end up; a fault of what is awaited comes through."""
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
