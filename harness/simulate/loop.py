"""An event loop on virtual time: when nothing can run, the time jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

START_SECONDS = 1_700_000_000.0
"""The time at which every simulation begins, as seconds since the Unix epoch."""


class Deadlock(Exception):
    """Nothing can run, and no timer is set; the message names the tasks that wait."""


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: a timeout becomes a jump of the time."""

    # Small, because the loop adds its resolution of a nanosecond, which a large number would swallow.
    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Move the time forward; nothing is ever ready, because a simulation has no sockets."""
        if timeout is None:
            waiting = sorted(task.get_name() for task in asyncio.all_tasks(asyncio.get_event_loop()))
            raise Deadlock(f"nothing can run any more; these tasks wait: {', '.join(waiting)}")
        self.now += max(0.0, timeout)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop whose time is virtual, and whose executors run their functions at once: there are no threads."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time."""
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run a function now, and return its result as a future."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - the caller awaits it
            future.set_exception(error)
        return future


class SimulatedClock:
    """The time of the running loop; the parts of a worker and the doubles use the same clock.

    `advance` makes the wall clock jump, as that of a dispatcher can; the monotonic time never jumps.
    """

    def __init__(self) -> None:
        self._offset_seconds = 0.0

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        """Return seconds since the Unix epoch."""
        return START_SECONDS + self.monotonic() + self._offset_seconds

    def advance(self, seconds: float) -> None:
        """Move the wall clock."""
        self._offset_seconds += seconds

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of virtual time."""
        await asyncio.sleep(seconds)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a new virtual loop.

    Raises:
        Deadlock: it waits for something that will never happen.
    """
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)
