"""Patience with a store once a range has been extracted: hours of work are not lost to a store's bad minute.

The adapter's own client retries each request for seconds; this adds minutes, bounded by the attempt's end. In a service
the store below checks the lease before each try, so a lost lease ends the waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cryo_ingest.backoff import Backoff
from cryo_ingest.errors import StoreUnavailable
from cryo_ingest.logs import log
from cryo_ingest.publish.store_wrapper import StoreWrapper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from cryo_ingest.ports import Clock, ObjectStore

T = TypeVar("T")

MAX_PATIENCE_SECONDS = 300.0
"""For one operation: a store that stays down for longer is left to the next attempt."""

FIRST_PAUSE_SECONDS = 1.0


class RetryingStore(StoreWrapper):
    """A store whose operations are repeated while it is unavailable, not past the monotonic time `until`."""

    def __init__(self, store: ObjectStore, clock: Clock, random: Random, *, until: float) -> None:
        super().__init__(store)
        self._clock, self._random, self._until = clock, random, until

    async def _run(self, operation: Callable[[], Awaitable[T]]) -> T:
        backoff = Backoff(self._random, first_seconds=FIRST_PAUSE_SECONDS)
        end = min(self._until, self._clock.monotonic() + MAX_PATIENCE_SECONDS)
        while True:
            try:
                return await operation()
            except StoreUnavailable as error:
                pause = backoff.failed()
                if self._clock.monotonic() + pause >= end:
                    raise
                log.warning("store.unavailable", message=str(error), delay_seconds=round(pause, 1))
            await self._clock.sleep(pause)
