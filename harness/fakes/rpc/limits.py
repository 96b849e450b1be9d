"""What an endpoint remembers from one request to the next: an outage, and how much of a rate limit is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.faults import rpc


@dataclass(slots=True)
class CurrentOutage:
    """A current outage: when it began, and how many requests it has rejected."""

    fault: rpc.Outage
    began: float
    requests: int = 1

    def is_over(self, now: float) -> bool:
        """Return whether the latest request comes after the outage."""
        return self.requests > self.fault.requests and now - self.began >= self.fault.seconds


class RateLimits:
    """The token bucket of each rate limit; a bucket is full at its first request."""

    def __init__(self) -> None:
        self._buckets: dict[rpc.RateLimit, tuple[float, float]] = {}

    def exceeds(self, limit: rpc.RateLimit, calls: int, now: float) -> bool:
        """Return whether a request has more calls than the bucket; if not, take them out."""
        left, at = self._buckets.get(limit, (float(limit.capacity), now))
        left = min(float(limit.capacity), left + (now - at) * limit.calls_per_second)
        exceeds = calls > left
        self._buckets[limit] = (left if exceeds else left - calls, now)
        return exceeds
