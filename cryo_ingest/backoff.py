"""How long to wait before asking again: exponential, with jitter from a source of randomness that is a parameter.

Its own few lines rather than stamina's, which waits by itself on the real clock: a simulated run could not use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 30.0


@dataclass(slots=True)
class Backoff:
    """Counts failures in a row; the n-th waits `first * 2**n` seconds, at most `longest`, less up to half of it."""

    random: Random
    first_seconds: float = FIRST_SECONDS
    longest_seconds: float = LONGEST_SECONDS
    failures: int = 0

    def failed(self) -> float:
        """Note a failure and return the seconds to wait."""
        # The exponent is bounded as well: a long outage must not end in an overflow.
        whole = min(self.longest_seconds, self.first_seconds * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return whole * (1 - self.random.random() / 2)

    def succeeded(self) -> None:
        """Begin again from the first delay."""
        self.failures = 0
