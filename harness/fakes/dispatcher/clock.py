"""The dispatcher's time: the machine's own, or one that a test moves by hand."""

from __future__ import annotations

import time
from typing import Protocol


class HarnessClock(Protocol):
    """Seconds since the Unix epoch; leases, backoffs and the `Date` of answers are by it alone."""

    def time(self) -> float:
        """Return the present."""
        ...

    def advance(self, seconds: float) -> None:
        """Jump ahead."""
        ...


class SystemClock:
    """The machine's clock, which `advance` puts ahead: a dispatcher whose clock jumps."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def time(self) -> float:
        """Return the present, as far ahead as it was put."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Jump."""
        self._ahead += seconds


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def time(self) -> float:
        """Return the time that it was moved to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds
