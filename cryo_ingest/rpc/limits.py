"""Decides when the next request may be sent and how many calls it may contain, given an endpoint's earlier responses.

`batching` and `client` send the requests; limits on the rate are in `rates`.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.backoff import backoff_seconds, jittered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from random import Random

    from cryo_ingest.ports import Clock

FIRST_BACKOFF_SECONDS = 0.5
ISOLATED_FAILURE_SECONDS = 0.1
"""The wait after one failure among successes, which says little about the endpoint; only the failed calls wait."""

MAX_REQUESTS_IN_FLIGHT = 100
"""Counts requests, not the calls in them: as many as Cryo has in flight without a gateway."""

MAX_BATCH_CALLS = 250
"""Calls in one HTTP request, at most: a quarter of those in flight, so that the endpoint is never idle."""

FIRST_BATCH_CALLS = 50
"""The size of an endpoint's first batches: what most providers accept. It is halved at refusals and grows otherwise."""

BATCH_BYTES = 4 * 1024**2
"""The size of a batch's response to aim at: its parsing takes milliseconds, its buffers little memory."""

MAX_BYTES_IN_FLIGHT = 32 * 1024**2
"""Of all responses to one endpoint at a time, as far as they can be foreseen."""

SIZE_DECAY = 0.9
QUICK_SECONDS = 2.0
"""A batch whose response takes longer is not made larger."""

OUTAGE_FAILURES = 2
"""After this many failures in a row, requests are sent one at a time, to avoid a flood of retries in an outage."""

GROWTH_FACTOR = 4
"""Each time a batch size fails again, the number of successes required before its next try is multiplied by this."""


def pause_seconds(failures: int) -> float:
    """Return the longest wait after so many failures in a row: short after the first, then half a second and more."""
    if failures < OUTAGE_FAILURES:
        return ISOLATED_FAILURE_SECONDS
    return backoff_seconds(failures - 1, first_seconds=FIRST_BACKOFF_SECONDS)


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

FAILOVER_POLICY = RetryPolicy(min_tries=3, min_seconds=1.0, timeout_seconds=30.0)
"""While another endpoint of the pool may serve instead."""

ONE_TRY_POLICY = RetryPolicy(min_tries=1, min_seconds=0.0, timeout_seconds=30.0)


class InFlightLimiter:
    """Limits what is in flight: requests, the calls in them, and the bytes that their answers probably have."""

    def __init__(self, max_calls: int, *, max_bytes: int = MAX_BYTES_IN_FLIGHT) -> None:
        self._requests, self._calls, self._bytes = MAX_REQUESTS_IN_FLIGHT, max_calls, max_bytes
        self._idle_bytes = max_bytes
        self._turn = asyncio.Lock()
        self._released = asyncio.Event()

    @asynccontextmanager
    async def acquire(self, calls: int, expected_bytes: int = 0) -> AsyncIterator[None]:
        """Wait until a request may be sent, in the order of the callers, and count it until the block ends."""
        expected = min(expected_bytes, self._idle_bytes)
        async with self._turn:
            while self._requests == 0 or self._calls < calls or self._bytes < expected:
                self._released.clear()
                await self._released.wait()
            self._requests, self._calls, self._bytes = self._requests - 1, self._calls - calls, self._bytes - expected
        try:
            yield
        finally:
            self._requests, self._calls, self._bytes = self._requests + 1, self._calls + calls, self._bytes + expected
            self._released.set()


@dataclass(slots=True)
class AnswerSizes:
    """How many bytes the answer to one call of a method has: a high estimate, which falls slowly."""

    bytes_per_call: float = 0.0
    decay: float = SIZE_DECAY

    def calls_in(self, size_bytes: int) -> int:
        """Return how many calls have answers of so many bytes together, at least one."""
        return max(1, int(size_bytes / max(self.bytes_per_call, 1.0)))

    def observe(self, calls: int, size_bytes: int) -> None:
        """Record the size of a response."""
        self.bytes_per_call = max(size_bytes / calls, self.decay * self.bytes_per_call)


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
    largest_success: int = 1
    _successes: int = 0
    _failed_size: int | None = None
    _suspected_limit: int | None = None
    _successes_to_grow: int = 1
    _untested: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_known_to_work(self) -> bool:
        """Whether a batch of the current size, or a larger one, has succeeded since the last failure."""
        return self.size <= self.largest_success

    @asynccontextmanager
    async def wait_if_untested(self, calls: int) -> AsyncIterator[None]:
        """Wait until a batch of this size may be sent. Batches of an untested size are sent one at a time."""
        async with AsyncExitStack() as stack:
            if calls > self.largest_success:
                await stack.enter_async_context(self._untested)
                if calls <= self.largest_success:
                    await stack.aclose()
            yield

    def failed(self, calls: int) -> None:
        """Record that a batch of this size failed."""
        self._failed_size = min(calls, self._failed_size or calls)
        if calls <= self.size:
            self.size, self._successes = max(1, calls // 2), 0
            self.largest_success = min(self.largest_success, self.size)

    def succeeded(self, calls: int, *, seconds: float = 0.0) -> None:
        """Record that a batch of this size succeeded, and how long its response took."""
        self.largest_success = max(self.largest_success, calls)
        if self._failed_size is not None and calls < self._failed_size:
            failed_again = self._suspected_limit == self._failed_size
            self._successes_to_grow = GROWTH_FACTOR * (self._successes_to_grow if failed_again else 1)
            self._suspected_limit = self._failed_size
        self._failed_size = None
        if self._suspected_limit is not None and calls >= self._suspected_limit:
            self._suspected_limit, self._successes_to_grow = None, 1
        if calls < self.size or self.size == self.max_size or seconds > QUICK_SECONDS:
            return
        self._successes += 1
        larger = min(2 * self.size, self.max_size)
        limit = self._suspected_limit
        if limit is None or larger < limit or self._successes >= self._successes_to_grow:
            self.size, self._successes = larger, 0


@dataclass(slots=True)
class Outage:
    """An endpoint's failures in a row, and how they delay its next request.

    `random` shortens the waits, but never a `Retry-After`. `_last_failure_at` is the time of the last failure that was
    counted.
    """

    clock: Clock
    random: Random
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
            await self.wait_for_pause()
            yield

    async def wait_for_pause(self) -> None:
        """Wait until the last backoff and the last `Retry-After` are over."""
        while (pause := max(self._backoff_until, self._retry_after_until) - self.clock.monotonic()) > 0:
            await self.clock.sleep(pause)

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
        pause = self.pause_seconds(self.failures)
        if self.failures >= OUTAGE_FAILURES:
            self._backoff_until = max(self._backoff_until, now + pause)
        return pause

    def pause_seconds(self, failures: int) -> float:
        """Return the wait after so many failures in a row, at random between half of the longest and the longest."""
        return jittered(pause_seconds(failures), self.random)

    def succeeded(self) -> None:
        """Record a response: reset the failures, but keep a wait that `Retry-After` requires."""
        self.failures, self.since, self._backoff_until = 0, None, 0.0
