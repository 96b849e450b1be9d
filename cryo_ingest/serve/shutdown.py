"""The stages of a shutdown (LSE-4): draining accepts no new tasks, stopping hands back running attempts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Never, TypeVar

from cryo_ingest.errors import StoppedByShutdown
from cryo_ingest.logs import log

if TYPE_CHECKING:
    import signal
    from collections.abc import Coroutine

    from cryo_ingest.ports import Clock

T = TypeVar("T")

MAX_RESERVE_SECONDS = 8.0
"""Reserved for handing back attempts: Cryo has 5 s to end (in practice it ends at once), then a report is sent."""


class DrainTimedOut(Exception):
    """The grace period is over, but an attempt has not been handed back."""


class Shutdown:
    """The state of a shutdown; the first signal calls `begin`, and everything else waits for it."""

    def __init__(self, grace_seconds: float, clock: Clock) -> None:
        self._grace_seconds, self._clock = grace_seconds, clock
        self._draining, self._stopping = asyncio.Event(), asyncio.Event()
        self.signal: signal.Signals | None = None

    @property
    def draining(self) -> bool:
        """Whether no new tasks are accepted."""
        return self._draining.is_set()

    def begin(self, number: signal.Signals) -> None:
        """Start draining."""
        self.signal = number
        self._draining.set()

    async def cancel_on_drain(self, coroutine: Coroutine[None, None, T]) -> T | None:
        """Await a coroutine; when the service drains, cancel it and return None."""
        task = asyncio.ensure_future(coroutine)
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait({task, draining}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            draining.cancel()
            await asyncio.gather(task, draining, return_exceptions=True)

    async def wait_for_stop(self) -> Never:
        """Wait until running attempts must be handed back.

        Raises:
            StoppedByShutdown: at that time.
        """
        await self._stopping.wait()
        raise StoppedByShutdown(grace_seconds=self._grace_seconds)

    async def enforce(self) -> Never:
        """Wait for the first signal, then enforce the grace period.

        Raises:
            DrainTimedOut: the grace period is over.
        """
        await self._draining.wait()
        log.info("service.draining", signal=self.signal and self.signal.name, grace_seconds=self._grace_seconds)
        reserve = min(MAX_RESERVE_SECONDS, self._grace_seconds / 3)
        await self._clock.sleep(self._grace_seconds - reserve)
        self._stopping.set()
        await self._clock.sleep(reserve)
        raise DrainTimedOut
