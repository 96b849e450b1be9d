"""How long to wait before a retry: exponential backoff, with jitter from a source of randomness that is a parameter.

The library stamina cannot be used: it sleeps on the real clock, so a simulated run could not use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

FIRST_SECONDS = 0.25
MAX_SECONDS = 30.0


def backoff_seconds(failures: int, *, first_seconds: float, longest_seconds: float = MAX_SECONDS) -> float:
    """Return the wait after a number of failures in a row: `first_seconds` after the first, then twice as long each."""
    # The exponent is bounded as well: a long outage must not end in an overflow.
    return min(longest_seconds, first_seconds * 2.0 ** min(max(failures, 1) - 1, 32))


def jittered(seconds: float, random: Random) -> float:
    """Shorten a wait at random by up to a half, so that callers that failed together do not retry together."""
    return seconds * (1 - random.random() / 2)


@dataclass(slots=True)
class Backoff:
    """Counts failures in a row; each wait is `backoff_seconds`, `jittered`."""

    random: Random
    first_seconds: float = FIRST_SECONDS
    longest_seconds: float = MAX_SECONDS
    failures: int = 0

    def failed(self) -> float:
        """Count a failure and return the seconds to wait."""
        self.failures += 1
        seconds = backoff_seconds(self.failures, first_seconds=self.first_seconds, longest_seconds=self.longest_seconds)
        return jittered(seconds, self.random)

    def succeeded(self) -> None:
        """Start again with the first delay."""
        self.failures = 0
