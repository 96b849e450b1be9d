"""The virtual loop: time jumps, nothing waits, and a deadlock is an error."""

import asyncio

import pytest

from harness.simulate.loop import Deadlock, SimulatedClock, run_virtually


def test_timers_fire_in_their_order_at_their_times():
    """A day takes no time, and the clock shows that it has passed."""
    seen: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float, clock: SimulatedClock, began: float) -> None:
        await clock.sleep(seconds)
        seen.append((name, clock.monotonic() - began))

    async def main() -> None:
        clock = SimulatedClock()
        began = clock.monotonic()
        await asyncio.gather(wait("day", 86_400, clock, began), wait("minute", 60, clock, began))

    run_virtually(main())
    assert seen == [("minute", 60), ("day", 86_400)]


def test_a_timeout_is_virtual_too():
    """Asyncio's own timeouts use the loop's time."""

    async def main() -> None:
        async with asyncio.timeout(1000):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run_virtually(main())


def test_what_waits_for_ever_is_named():
    """A loop without timers can only wait for ever."""

    async def main() -> None:
        await asyncio.create_task(asyncio.Event().wait(), name="the one that waits")

    with pytest.raises(Deadlock, match="the one that waits"):
        run_virtually(main())


def test_a_thread_runs_at_once():
    """What a worker moves to a thread runs in place, so that its order is always the same; its errors are awaited."""

    def fail() -> None:
        raise ValueError("in the thread")

    async def main() -> int:
        with pytest.raises(ValueError, match="in the thread"):
            await asyncio.to_thread(fail)
        return await asyncio.to_thread(lambda: 7)

    assert run_virtually(main()) == 7


def test_the_wall_clock_can_jump():
    """As a dispatcher's can, while the monotonic time does not."""

    async def main() -> tuple[float, float]:
        clock = SimulatedClock()
        monotonic, wall = clock.monotonic(), clock.time()
        clock.advance(-3600)
        return clock.monotonic() - monotonic, clock.time() - wall

    assert run_virtually(main()) == (0, -3600)
