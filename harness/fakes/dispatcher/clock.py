"""The dispatcher's clock: the system clock, or one that a test sets."""

from __future__ import annotations

import time
from typing import Protocol


class HarnessClock(Protocol):
    """Seconds since the Unix epoch; leases, backoffs and the `Date` header of answers use only this clock."""

    def time(self) -> float:
        """Return the current time."""
        ...

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        ...


class SystemClock:
    """The system clock; `advance` makes it jump, as the clock of a dispatcher can."""

    def __init__(self) -> None:
        self._offset_seconds = 0.0

    def time(self) -> float:
        """Return the system time plus all jumps."""
        return time.time() + self._offset_seconds

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._offset_seconds += seconds


class ManualClock:
    """A clock that changes only by `advance`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def time(self) -> float:
        """Return the current time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._now += seconds
