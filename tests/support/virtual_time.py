"""A clock that never waits: when no task can run, time jumps to the next wake-up."""

import asyncio
import heapq
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

IDLE_ROUNDS = 300
"""Iterations of the event loop after which all callbacks count as finished; the doubles do no I/O."""


MAX_JUMPS = 300
"""More waits than any test has; more of them mean an endless loop."""


class VirtualClock:
    """A `cryo_ingest.ports.Clock` whose time only `run` or a test changes."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = self._start = now
        self._jumps = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        """Return the virtual now."""
        return self.now

    def time(self) -> float:
        """Return the virtual now."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Return when the virtual time is reached."""
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + max(0.0, seconds), next(self._order), waking))
        await waking

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` to its end, skipping every wait."""
        return asyncio.run(self._drive(main))

    async def _drive(self, main: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(main)
        while not task.done():
            for _ in range(IDLE_ROUNDS):
                await asyncio.sleep(0)
            if not task.done():
                self._jump()
        return task.result()

    def _jump(self) -> None:
        while self._sleepers:
            due, _, waking = heapq.heappop(self._sleepers)
            if not waking.done():
                self.now = max(self.now, due)
                self._jumps += 1
                if self._jumps > MAX_JUMPS:
                    passed = f"{MAX_JUMPS} waits and {self.now - self._start:g} s of virtual time"
                    raise AssertionError(f"{passed} have passed: the test never ends")
                waking.set_result(None)
                return
        raise AssertionError("no task can run and none sleeps: a deadlock")
