"""Whether an attempt may continue; checked before every request and while Cryo runs."""

from __future__ import annotations

import math
import threading
import time

from harness.reference.bugs import has_bug
from harness.reference.errors import LeaseLost, ShuttingDown


class Cancellation:
    """Makes `check` and `pause` raise once the attempt is stopped or its lease has ended; safe for several threads."""

    def __init__(self) -> None:
        self.lease_end = math.inf
        self._stopped = threading.Event()
        self._reason: LeaseLost | ShuttingDown | None = None

    def stop(self, reason: LeaseLost | ShuttingDown) -> None:
        """Stop the attempt; the first reason counts, but a lost lease replaces a hand-back."""
        if self._reason is None or isinstance(reason, LeaseLost):
            self._reason = reason
        self._stopped.set()

    def lease_is_lost(self) -> bool:
        """Return whether no more requests may be sent for the task."""
        if time.monotonic() >= self.lease_end:
            self.stop(LeaseLost("the lease has expired locally"))
        return isinstance(self._reason, LeaseLost) and not has_bug("works-past-the-lease")

    def check(self) -> None:
        """Raise if the attempt must not continue.

        Raises:
            LeaseLost: the lease has ended.
            ShuttingDown: the worker is shutting down.
        """
        if self.lease_is_lost():
            raise self._reason or LeaseLost("the lease has expired locally")
        if isinstance(self._reason, ShuttingDown):
            raise self._reason

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than until the attempt is stopped; raise as `check` does."""
        self.check()
        self._stopped.wait(min(seconds, max(0.0, self.lease_end - time.monotonic())))
        self.check()
