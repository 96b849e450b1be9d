"""Retries store operations after an extraction, so that a short outage does not discard hours of work.

The adapter's client retries each request for seconds; this store retries for minutes, until the attempt's deadline. In
a service the wrapped store checks the lease before each try, so a lost lease ends the retries.
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

MAX_RETRY_SECONDS = 300.0
"""For one operation; after a longer outage another attempt is needed."""

FIRST_PAUSE_SECONDS = 1.0


class RetryingStore(StoreWrapper):
    """A store that retries operations while it is unavailable, until the monotonic time `deadline`."""

    def __init__(self, store: ObjectStore, *, clock: Clock, random: Random, deadline: float) -> None:
        super().__init__(store)
        self._clock, self._random, self._deadline = clock, random, deadline

    async def _run(self, operation: Callable[[], Awaitable[T]]) -> T:
        backoff = Backoff(self._random, first_seconds=FIRST_PAUSE_SECONDS)
        end = min(self._deadline, self._clock.monotonic() + MAX_RETRY_SECONDS)
        while True:
            try:
                return await operation()
            except StoreUnavailable as error:
                pause = backoff.failed()
                if self._clock.monotonic() + pause >= end:
                    raise
                log.warning("store.unavailable", message=str(error), delay_seconds=round(pause, 1))
            await self._clock.sleep(pause)
