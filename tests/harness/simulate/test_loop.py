"""The virtual loop: time jumps, nothing waits, and a deadlock is an error."""

import asyncio
from contextvars import copy_context

import pytest

from harness.simulate.loop import LIFE, Deadlock, SimulatedClock, current_loop, run_virtually


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


def test_a_stopped_worker_does_not_run_and_its_timers_fire_when_it_goes_on():
    """The world goes on meanwhile, and may send to the worker what it receives later."""
    seen: list[tuple[str, float]] = []

    async def work(inbox: asyncio.Queue[str]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            group.create_task(tick(began))
            seen.append((await inbox.get(), loop.time() - began))

    async def tick(began: float) -> None:
        for _ in range(2):
            await asyncio.sleep(1.0)
            seen.append(("tick", asyncio.get_running_loop().time() - began))

    async def main() -> None:
        loop, inbox = current_loop(), asyncio.Queue[str]()
        context = copy_context()
        context.run(LIFE.set, 1)
        task = loop.create_task(work(inbox), context=context)
        await asyncio.sleep(1.5)
        loop.stop_life(1)
        inbox.put_nowait("sent while it was stopped")
        await asyncio.sleep(8.5)
        assert len(loop.tasks_of(1)) == 2
        loop.continue_life(1)
        await task

    run_virtually(main())
    assert seen == [("tick", 1.0), ("sent while it was stopped", 10.0), ("tick", 10.0)]
