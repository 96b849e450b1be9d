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

RECENT_RESPONSES = 10
REFUSALS_TO_LEARN = 2
"""So many refusals among the recent responses mean a limit; a single one may be one bad answer among thousands."""

SHARE_OF_ACCEPTED = 0.97
"""Of the rate that was accepted until a refusal: just below the limit, so that the next refusal is far away."""

MIN_DECREASE = 0.95
HOLD_SECONDS = 20.0
GROWTH_PER_SECOND = 0.01
MAX_GROWTH_PER_SECOND = 0.2
DOUBLING_SECONDS = 10.0
"""After `HOLD_SECONDS` without a refusal the rate grows, slowly at first, since the limit is probably near."""

FEWEST_CALLS = 20
"""So many calls must have been accepted since the last refusal: fewer show an outage, and no rate."""

SHARE_OF_SECOND_IN_A_BATCH = 0.25


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

    The rate is then the one that it accepted since its last refusal, including the wait that it asked for. So it is
    right for both ways of measuring.
    """

    clock: Clock
    endpoint_name: str
    limiter: RateLimiter = field(init=False)
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT_RESPONSES))
    _accepted: int = 0
    _accepted_since: float = field(init=False)
    _last_refusal_at: float = float("-inf")
    _grown_at: float = 0.0

    def __post_init__(self) -> None:
        self.limiter = RateLimiter(self.clock, None)
        self._accepted_since = self.clock.monotonic()

    @property
    def max_batch_calls(self) -> int | None:
        """The calls of a batch that is worth a quarter of a second; None while no limit is known."""
        rate = self.limiter.per_second
        return None if rate is None else max(1, int(rate * SHARE_OF_SECOND_IN_A_BATCH))

    async def acquire(self, calls: int) -> None:
        """Wait until this many calls may be sent."""
        await self.limiter.acquire(calls)

    def accepted(self, calls: int) -> None:
        """Record a response to so many calls."""
        self._recent.append(False)
        self._accepted += calls
        rate, now = self.limiter.per_second, self.clock.monotonic()
        start = max(self._last_refusal_at + HOLD_SECONDS, self._grown_at)
        if rate is not None and now > start:
            quiet = now - self._last_refusal_at - HOLD_SECONDS
            growth = min(MAX_GROWTH_PER_SECOND, GROWTH_PER_SECOND * 2 ** min(quiet / DOUBLING_SECONDS, 32))
            self.limiter.per_second = rate * (1 + growth * min(now - start, 1.0))
            self._grown_at = now

    def refused(self, *, sent_at: float) -> None:
        """Record that a request sent at `sent_at` was refused because of the rate."""
        self._recent.append(True)
        if sent_at < self._last_refusal_at:
            return  # it was on its way when the rate was reduced last
        now = self.clock.monotonic()
        elapsed = max(now - self._accepted_since, 1.0)
        known = self.limiter.per_second
        repeated = known is not None or sum(self._recent) >= REFUSALS_TO_LEARN
        if repeated and self._accepted >= FEWEST_CALLS:
            seen = SHARE_OF_ACCEPTED * self._accepted / elapsed
            rate = seen if known is None else min(seen, MIN_DECREASE * known)
            self.limiter.per_second = rate
            log.info("endpoint.rate_learned", endpoint=self.endpoint_name, calls_per_second=round(rate))
        self._last_refusal_at, self._accepted, self._accepted_since = now, 0, now
