"""The stages of an orderly end (LSE-4): draining takes nothing new, stopping hands back what still runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Never, TypeVar

from cryo_ingest.errors import AttemptStopped
from cryo_ingest.logs import log

if TYPE_CHECKING:
    import signal
    from collections.abc import Coroutine

    from cryo_ingest.ports import Clock

T = TypeVar("T")

MAX_RESERVE_SECONDS = 8.0
"""Kept of the grace for handing back: Cryo has 5 s to end (in practice it ends at once), then one report goes out."""


class DrainTimedOut(Exception):
    """The grace period is over and an attempt has not been handed back."""


class Shutdown:
    """Where the end stands; `begin` is for the first signal, everything else waits on it."""

    def __init__(self, grace_seconds: float, clock: Clock) -> None:
        self._grace_seconds, self._clock = grace_seconds, clock
        self._draining, self._stopping = asyncio.Event(), asyncio.Event()
        self.signal: signal.Signals | None = None

    @property
    def draining(self) -> bool:
        """Whether nothing new is to be taken."""
        return self._draining.is_set()

    def begin(self, number: signal.Signals) -> None:
        """Start draining."""
        self.signal = number
        self._draining.set()

    async def unless_draining(self, asked: Coroutine[None, None, T]) -> T | None:
        """Await something, or cancel it and return None as soon as the service drains."""
        asking = asyncio.ensure_future(asked)
        told = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait({asking, told}, return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else None
        finally:
            asking.cancel()
            told.cancel()
            await asyncio.gather(asking, told, return_exceptions=True)

    async def wait_for_stop(self) -> Never:
        """Fail an attempt's group when running attempts are to be handed back.

        Raises:
            AttemptStopped: now.
        """
        await self._stopping.wait()
        raise AttemptStopped(grace_seconds=self._grace_seconds)

    async def enforce(self) -> Never:
        """From the first signal on, keep to the grace period.

        Raises:
            DrainTimedOut: it is over.
        """
        await self._draining.wait()
        log.info("service.draining", signal=self.signal and self.signal.name, grace_seconds=self._grace_seconds)
        reserve = min(MAX_RESERVE_SECONDS, self._grace_seconds / 3)
        await self._clock.sleep(self._grace_seconds - reserve)
        self._stopping.set()
        await self._clock.sleep(reserve)
        raise DrainTimedOut
