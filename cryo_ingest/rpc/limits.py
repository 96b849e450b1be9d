"""Decides when the next request may be sent and how many calls it may contain, given an endpoint's earlier responses.

`batching` and `client` send the requests.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.backoff import backoff_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cryo_ingest.ports import Clock

FIRST_BACKOFF_SECONDS = 0.5

MAX_REQUESTS_IN_FLIGHT = 32
"""Counts requests, not the calls in them. Cryo's own limit is 100 requests."""

OUTAGE_FAILURES = 2
"""After this many failures in a row, requests are sent one at a time, to avoid a flood of retries in an outage."""

GROWTH_FACTOR = 4
"""Each time a batch size fails again, the number of successes required before its next try is multiplied by this."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a failing call is retried: at least `min_tries` times and for at least `min_seconds`."""

    min_tries: int
    min_seconds: float
    timeout_seconds: float

    def should_stop(self, tries: int, elapsed_seconds: float) -> bool:
        """Return whether both bounds are reached."""
        return tries >= self.min_tries and elapsed_seconds >= self.min_seconds


DEFAULT_POLICY = RetryPolicy(min_tries=6, min_seconds=120.0, timeout_seconds=30.0)
"""Two minutes: a short outage must not discard an extraction that took hours."""

QUICK_POLICY = RetryPolicy(min_tries=3, min_seconds=0.0, timeout_seconds=10.0)
OPTIONAL_POLICY = RetryPolicy(min_tries=3, min_seconds=15.0, timeout_seconds=30.0)
"""For an error object in reply to an optional call: the caller has another source."""

ONE_TRY_POLICY = RetryPolicy(min_tries=1, min_seconds=0.0, timeout_seconds=30.0)


@dataclass(slots=True)
class RateLimiter:
    """Allows at most `per_second` calls a second; None for no limit."""

    clock: Clock
    per_second: int | None
    _next_send_at: float = 0.0

    async def acquire(self, calls: int) -> None:
        """Wait until this many calls may be sent."""
        if self.per_second is None:
            return
        now = self.clock.monotonic()
        start = max(now, self._next_send_at)
        self._next_send_at = start + calls / self.per_second
        if start > now:
            await self.clock.sleep(start - now)


class InFlightLimiter:
    """Limits the requests in flight, and the total number of calls in them."""

    def __init__(self, max_calls: int) -> None:
        self._calls, self._requests = asyncio.Semaphore(max_calls), asyncio.Semaphore(MAX_REQUESTS_IN_FLIGHT)
        # Without this lock two batches could each reserve a part of the calls and wait for each other forever.
        self._acquiring = asyncio.Lock()

    @asynccontextmanager
    async def acquire(self, calls: int) -> AsyncIterator[None]:
        """Wait until this many calls may be in flight, and count them until the block ends."""
        acquired = 0
        async with self._requests:
            try:
                async with self._acquiring:
                    while acquired < calls:
                        await self._calls.acquire()
                        acquired += 1
                yield
            finally:
                for _ in range(acquired):
                    self._calls.release()


@dataclass(slots=True)
class BatchSize:
    """How many calls of one method an endpoint accepts in a batch: fewer after a failure, more after successes.

    A failure does not show whether the batch was too large or the endpoint was down. So the size always grows again. Up
    to the size that failed last it grows at once. The failed size itself is tried again less and less often if it keeps
    failing. At most one batch in flight is larger than those that have succeeded.

    `size` is the size of the next batch. `_failed_size` is the smallest size that has failed since the last success.
    `_suspected_limit` is the size that had failed when a smaller batch succeeded, so it is probably too large.
    """

    max_size: int
    size: int
    _largest_success: int = 1
    _successes: int = 0
    _failed_size: int | None = None
    _suspected_limit: int | None = None
    _successes_to_grow: int = 1
    _untested: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_known_to_work(self) -> bool:
        """Whether a batch of the current size, or a larger one, has succeeded since the last failure."""
        return self.size <= self._largest_success

    @asynccontextmanager
    async def wait_if_untested(self, calls: int) -> AsyncIterator[None]:
        """Wait until a batch of this size may be sent. Batches of an untested size are sent one at a time."""
        async with AsyncExitStack() as stack:
            if calls > self._largest_success:
                await stack.enter_async_context(self._untested)
                if calls <= self._largest_success:
                    await stack.aclose()
            yield

    def failed(self, calls: int) -> None:
        """Record that a batch of this size failed."""
        self._failed_size = min(calls, self._failed_size or calls)
        if calls <= self.size:
            self.size, self._successes = max(1, calls // 2), 0
            self._largest_success = min(self._largest_success, self.size)

    def succeeded(self, calls: int) -> None:
        """Record that a batch of this size succeeded."""
        self._largest_success = max(self._largest_success, calls)
        if self._failed_size is not None and calls < self._failed_size:
            failed_again = self._suspected_limit == self._failed_size
            self._successes_to_grow = GROWTH_FACTOR * (self._successes_to_grow if failed_again else 1)
            self._suspected_limit = self._failed_size
        self._failed_size = None
        if self._suspected_limit is not None and calls >= self._suspected_limit:
            self._suspected_limit, self._successes_to_grow = None, 1
        if calls < self.size or self.size == self.max_size:
            return
        self._successes += 1
        larger = min(2 * self.size, self.max_size)
        limit = self._suspected_limit
        if limit is None or larger < limit or self._successes >= self._successes_to_grow:
            self.size, self._successes = larger, 0


@dataclass(slots=True)
class Outage:
    """An endpoint's failures in a row, and how they delay its next request.

    `_last_failure_at` is the time of the last failure that was counted.
    """

    clock: Clock
    failures: int = 0
    since: float | None = None
    _backoff_until: float = 0.0
    _retry_after_until: float = 0.0
    _last_failure_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def wait_to_send(self) -> AsyncIterator[None]:
        """Wait until a request may be sent; during an outage only one request at a time is sent."""
        async with AsyncExitStack() as stack:
            if self.failures >= OUTAGE_FAILURES:
                await stack.enter_async_context(self._lock)
                if self.failures < OUTAGE_FAILURES:
                    await stack.aclose()
            while (pause := max(self._backoff_until, self._retry_after_until) - self.clock.monotonic()) > 0:
                await self.clock.sleep(pause)
            yield

    def failed(self, *, sent_at: float, retry_after_seconds: float | None) -> float:
        """Record a failed request and return the seconds to wait. Failures of simultaneous requests count as one."""
        now = self.clock.monotonic()
        if self.since is None:
            self.since = sent_at
        if sent_at >= self._last_failure_at:
            self.failures, self._last_failure_at = self.failures + 1, now
        if retry_after_seconds is not None:
            self._retry_after_until = max(self._retry_after_until, now + retry_after_seconds)
            return retry_after_seconds
        pause = backoff_seconds(self.failures, first_seconds=FIRST_BACKOFF_SECONDS)
        self._backoff_until = max(self._backoff_until, now + pause)
        return pause

    def succeeded(self) -> None:
        """Record a response: reset the failures, but keep a wait that `Retry-After` requires."""
        self.failures, self.since, self._backoff_until = 0, None, 0.0
