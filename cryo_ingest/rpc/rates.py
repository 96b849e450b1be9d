"""Limits on the rate of calls: the configured one, and the one that an endpoint's refusals show.

Providers limit calls a second, mostly count every call of a batch, and refuse a batch that exceeds the rest of the
limit. How they measure is unknown: by a second of the clock, or by a bucket that fills up again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.logs import log

if TYPE_CHECKING:
    from cryo_ingest.ports import Clock

WINDOW_SECONDS = 1.0
"""The time over which accepted calls are counted: providers limit calls a second."""

REFUSALS_TO_LEARN = 2
RECENT_SECONDS = 3.0
"""So many refusals in this time mean a limit; a single one may be one bad answer among thousands."""

SHARE_OF_ACCEPTED = 0.97
"""Of the rate that was accepted until a refusal: just below the limit, so that the next refusal is far away."""

MIN_DECREASE, MAX_DECREASE = 0.97, 0.8
"""The rate is lowered at least and at most by these factors: a single second can be untypical."""

HOLD_SECONDS = 30.0
GROWTH_PER_SECOND = 0.01
MAX_GROWTH_PER_SECOND = 0.2
DOUBLING_SECONDS = 10.0
"""After `HOLD_SECONDS` without a refusal the rate grows, slowly at first, since the limit is probably near."""

MAX_DECREASES = 4
"""More decreases in `HOLD_SECONDS` show that the refusals do not depend on the rate, or that the limit has changed: the
rate is forgotten, and twice as many refusals are needed to learn one again."""
MAX_REFUSALS_TO_LEARN = 64

FEWEST_CALLS = 20
"""So many calls must have been accepted since the last refusal: fewer show an outage, and no rate."""

SHARE_OF_SECOND_IN_A_BATCH = 0.04
"""A second of the provider's clock can hold one batch more than the rate allows, so batches must be small."""


@dataclass(slots=True)
class RateLimiter:
    """Allows at most `per_second` calls a second; None for no limit. A batch takes the time of all its calls."""

    clock: Clock
    per_second: float | None
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


@dataclass(slots=True)
class LearnedRate:
    """The calls a second that one endpoint accepts: no limit until it refuses calls repeatedly.

    The rate is then the one that it accepted in the second before a refusal.
    """

    clock: Clock
    endpoint_name: str
    limiter: RateLimiter = field(init=False)
    _refusals: deque[float] = field(default_factory=deque)
    _accepted: deque[tuple[float, int]] = field(default_factory=deque)
    _decreases: deque[float] = field(default_factory=deque)
    _needed: int = REFUSALS_TO_LEARN
    _last_refusal_at: float = float("-inf")
    _grown_at: float = 0.0

    def __post_init__(self) -> None:
        self.limiter = RateLimiter(self.clock, None)

    @property
    def max_batch_calls(self) -> int | None:
        """The calls of a batch that takes a small part of a second; None while no limit is known."""
        rate = self.limiter.per_second
        return None if rate is None else max(1, int(rate * SHARE_OF_SECOND_IN_A_BATCH))

    @property
    def was_forgotten(self) -> bool:
        """Whether refusals have turned out not to depend on the rate, and so neither on the size of batches."""
        return self.limiter.per_second is None and self._needed > REFUSALS_TO_LEARN

    async def acquire(self, calls: int) -> None:
        """Wait until this many calls may be sent."""
        await self.limiter.acquire(calls)

    def accepted(self, calls: int) -> None:
        """Record a response to so many calls."""
        rate, now = self.limiter.per_second, self.clock.monotonic()
        self._accepted.append((now, calls))
        self._forget(now)
        start = max(self._last_refusal_at + HOLD_SECONDS, self._grown_at)
        if rate is not None and now > start:
            quiet = now - self._last_refusal_at - HOLD_SECONDS
            growth = min(MAX_GROWTH_PER_SECOND, GROWTH_PER_SECOND * 2 ** min(quiet / DOUBLING_SECONDS, 32))
            self.limiter.per_second = rate * (1 + growth * min(now - start, 1.0))
            self._grown_at = now

    def refused(self, *, sent_at: float) -> None:
        """Record that a request sent at `sent_at` was refused because of the rate."""
        now = self.clock.monotonic()
        self._refusals.append(now)
        while self._refusals[0] < now - RECENT_SECONDS:
            self._refusals.popleft()
        if sent_at < self._last_refusal_at:
            return  # it was on its way when the rate was reduced last
        self._last_refusal_at = now
        self._forget(now)
        known, accepted = self.limiter.per_second, sum(calls for _, calls in self._accepted)
        repeated = known is not None or len(self._refusals) >= self._needed
        if known is not None and self._is_no_limit(now):
            self._forget_rate()
            return
        if not repeated or accepted < FEWEST_CALLS:
            return
        rate = SHARE_OF_ACCEPTED * accepted / WINDOW_SECONDS
        if known is not None:
            rate = max(MAX_DECREASE * known, min(rate, MIN_DECREASE * known))
        self.limiter.per_second = rate
        log.info("endpoint.rate_learned", endpoint=self.endpoint_name, calls_per_second=round(rate))

    def _is_no_limit(self, now: float) -> bool:
        """Return whether refusals have come so often that they can't be about the rate that was learned."""
        self._decreases.append(now)
        while self._decreases[0] < now - HOLD_SECONDS:
            self._decreases.popleft()
        return len(self._decreases) > MAX_DECREASES

    def _forget_rate(self) -> None:
        self.limiter.per_second, self._needed = None, min(2 * self._needed, MAX_REFUSALS_TO_LEARN)
        self._refusals.clear()
        self._decreases.clear()
        log.info("endpoint.rate_forgotten", endpoint=self.endpoint_name)

    def _forget(self, now: float) -> None:
        """Forget the calls that were accepted before the last second."""
        while self._accepted and self._accepted[0][0] < now - WINDOW_SECONDS:
            self._accepted.popleft()
