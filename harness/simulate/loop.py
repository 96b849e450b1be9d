"""An event loop on virtual time: when nothing can run, the time jumps to the next timer.

The loop knows to which worker each callback belongs, so that a worker can be stopped as by SIGSTOP while the rest of
the world goes on, and all of its tasks can be found when it dies.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

T = TypeVar("T")

START_SECONDS = 1_700_000_000.0
"""The time at which every simulation begins, as seconds since the Unix epoch."""

LIFE: ContextVar[int] = ContextVar("life", default=0)
"""The worker in whose context code runs, by the number of its life; 0 for the world around the workers."""


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

    # The queues of `asyncio.BaseEventLoop`; they have had these names since Python 3.4.
    _ready: Any
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        self._stopped: dict[int, list[asyncio.Handle]] = {}
        self.continued_at: dict[int, float] = {}
        self._tasks: dict[int, WeakSet[asyncio.Task[Any]]] = {}
        super().__init__(self._jumping)
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """Return the virtual time."""
        return self._jumping.now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback in this turn of the loop, or when its worker goes on."""
        handle = super().call_soon(callback, *args, context=context)
        if self._stopped and (stopped := self._stopped.get(_life_of(handle))) is not None:
            self._ready.pop()
            stopped.append(handle)
        return handle

    def stop_life(self, life: int) -> None:
        """Stop a worker, as SIGSTOP does: nothing of it runs, and its timers that expire wait."""
        if life in self._stopped:
            return
        stopped = self._stopped[life] = []
        for index, handle in enumerate(self._ready):
            if _life_of(handle) == life and not handle.cancelled():
                stopped.append(handle)
                # The loop counts what is ready before it runs it, so something must stay in this place.
                self._ready[index] = placeholder = asyncio.Handle(_nothing, (), self)
                placeholder.cancel()
        stopped += sorted(handle for handle in self._scheduled if _life_of(handle) == life)
        self._scheduled[:] = [handle for handle in self._scheduled if _life_of(handle) != life]
        heapq.heapify(self._scheduled)

    def continue_life(self, life: int) -> None:
        """Let a stopped worker go on; timers that have expired meanwhile fire at once."""
        if life in self._stopped:
            self.continued_at[life] = self.time()
        for handle in self._stopped.pop(life, ()):
            if handle.cancelled():
                continue
            if isinstance(handle, asyncio.TimerHandle):
                heapq.heappush(self._scheduled, handle)
            else:
                self._ready.append(handle)

    def is_stopped(self, life: int) -> bool:
        """Return whether a worker is stopped."""
        return life in self._stopped

    def tasks_of(self, life: int) -> list[asyncio.Task[Any]]:
        """Return the tasks of a worker that are not done, in the order of their names."""
        return sorted((task for task in self._tasks.get(life, ()) if not task.done()), key=asyncio.Task.get_name)

    def _make_task(self, _: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=self, **options)
        context = options.get("context")
        life = LIFE.get() if context is None else context.get(LIFE, 0)
        if life:
            self._tasks.setdefault(life, WeakSet()).add(task)
        return task

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


def _nothing() -> None:
    """Do nothing."""


def _life_of(handle: asyncio.Handle) -> int:
    # The loop's own handle, which has no public name for it before Python 3.12.
    context: Context = handle._context  # type: ignore[attr-defined]  # noqa: SLF001
    return context.get(LIFE, 0)


def current_loop() -> SimulatedLoop:
    """Return the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)  # noqa: S101 - the doubles are used only under `run_virtually`
    return loop


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
