"""When the next request may be sent, and how many calls it may hold: what a node's earlier answers have taught.

It holds no connection; sending is `rpc.py`'s.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cryo_ingest.ports import Clock

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0

MOST_REQUESTS = 32
"""In flight at once, however few calls each holds; Cryo itself has 100."""

OUTAGE_FAILURES = 2
"""After so many failures in a row requests go one at a time, so that an outage is not answered by a flood."""

GROWTH_PATIENCE = 4


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a call that keeps failing is asked again: at least so often, and at least for so long."""

    tries: int
    seconds: float
    timeout_seconds: float

    def is_exhausted(self, tries: int, waited_seconds: float) -> bool:
        """Tell whether both bounds are reached."""
        return tries >= self.tries and waited_seconds >= self.seconds


LONG = RetryPolicy(tries=6, seconds=120.0, timeout_seconds=30.0)
"""What took hours to extract is not given up for a node's bad minute."""

SHORT = RetryPolicy(tries=3, seconds=0.0, timeout_seconds=10.0)
OPTIONAL = RetryPolicy(tries=3, seconds=15.0, timeout_seconds=30.0)
"""For an error object in answer to a question for which the caller has another source."""

ONCE = RetryPolicy(tries=1, seconds=0.0, timeout_seconds=30.0)


def backoff_seconds(failures: int) -> float:
    """Return the pause after so many failures in a row."""
    return float(min(FIRST_BACKOFF_SECONDS * 2 ** min(max(failures, 1) - 1, 16), LONGEST_BACKOFF_SECONDS))


@dataclass(slots=True)
class RateLimiter:
    """Spreads calls over time: `per_second` of them at most, None for no bound."""

    clock: Clock
    per_second: int | None
    _next: float = 0.0

    async def take(self, calls: int) -> None:
        """Wait until so many calls may be sent."""
        if self.per_second is None:
            return
        now = self.clock.monotonic()
        start = max(now, self._next)
        self._next = start + calls / self.per_second
        if start > now:
            await self.clock.sleep(start - now)


class InFlight:
    """Bounds the calls in flight, those of a batch counted singly, and the requests."""

    def __init__(self, calls: int) -> None:
        self._calls, self._requests = asyncio.Semaphore(calls), asyncio.Semaphore(MOST_REQUESTS)
        # One batch at a time takes its places, or two could each wait for those that the other has.
        self._entry = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, calls: int) -> AsyncIterator[None]:
        """Wait for room for so many calls and keep it while the block lasts."""
        held = 0
        async with self._requests:
            try:
                async with self._entry:
                    while held < calls:
                        await self._calls.acquire()
                        held += 1
                yield
            finally:
                for _ in range(held):
                    self._calls.release()


@dataclass(slots=True)
class BatchSize:
    """How many calls of one method an endpoint takes at once: less after a failure, more after successes.

    Whether a failure was a refusal or an outage can't be told from its form, so the size always grows back: at once up
    to where it failed last, and beyond that ever more rarely while it keeps failing there. A size that has not worked
    yet is tried by one batch at a time.
    """

    most: int
    size: int
    _proved: int = 1
    _good: int = 0
    _failed_at: int | None = None
    _refused_at: int | None = None
    _wanted: int = 1
    _first: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_known_to_work(self) -> bool:
        """Whether a batch of the present size has been answered since one failed."""
        return self.size <= self._proved

    @asynccontextmanager
    async def turn(self, calls: int) -> AsyncIterator[None]:
        """Wait until a batch of so many calls may be sent: while its size is untried, until the one before is over."""
        async with AsyncExitStack() as stack:
            if calls > self._proved:
                await stack.enter_async_context(self._first)
                if calls <= self._proved:
                    await stack.aclose()
            yield

    def failed(self, calls: int) -> None:
        """Note that a batch of so many calls got no answer."""
        self._failed_at = min(calls, self._failed_at or calls)
        if calls <= self.size:
            self.size, self._good = max(1, calls // 2), 0
            self._proved = min(self._proved, self.size)

    def worked(self, calls: int) -> None:
        """Note that a batch of so many calls was answered."""
        self._proved = max(self._proved, calls)
        if self._failed_at is not None and calls < self._failed_at:
            self._wanted = GROWTH_PATIENCE * (self._wanted if self._refused_at == self._failed_at else 1)
            self._refused_at = self._failed_at
        self._failed_at = None
        if self._refused_at is not None and calls >= self._refused_at:
            self._refused_at, self._wanted = None, 1
        if calls < self.size or self.size == self.most:
            return
        self._good += 1
        larger = min(2 * self.size, self.most)
        if self._refused_at is None or larger < self._refused_at or self._good >= self._wanted:
            self.size, self._good = larger, 0


@dataclass(slots=True)
class Outage:
    """What an endpoint's last failures mean for its next request."""

    clock: Clock
    failures: int = 0
    since: float | None = None
    _not_before: float = 0.0
    _told_until: float = 0.0
    _counted_at: float = float("-inf")
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until a request may be sent; during an outage the others wait until the block has ended."""
        async with AsyncExitStack() as stack:
            if self.failures >= OUTAGE_FAILURES:
                await stack.enter_async_context(self._one)
                if self.failures < OUTAGE_FAILURES:
                    await stack.aclose()
            while (pause := max(self._not_before, self._told_until) - self.clock.monotonic()) > 0:
                await self.clock.sleep(pause)
            yield

    def failed(self, *, sent_at: float, retry_after_seconds: float | None) -> float:
        """Note a request that failed and return how long to wait; those of one moment count as one failure."""
        now = self.clock.monotonic()
        if self.since is None:
            self.since = sent_at
        if sent_at >= self._counted_at:
            self.failures, self._counted_at = self.failures + 1, now
        if retry_after_seconds is not None:
            self._told_until = max(self._told_until, now + retry_after_seconds)
            return retry_after_seconds
        pause = backoff_seconds(self.failures)
        self._not_before = max(self._not_before, now + pause)
        return pause

    def ended(self) -> None:
        """Note an answer: what is left is what the endpoint itself asked for by `Retry-After`."""
        self.failures, self.since, self._not_before = 0, None, 0.0
