"""One place to ask whether the attempt may go on: before every request, and while Cryo runs."""

from __future__ import annotations

import math
import threading
import time

from harness.reference.bugs import bug
from harness.reference.errors import HandedBack, LeaseLost


class Guard:
    """Raises from `check` and `pause` once the attempt has been stopped or its lease has ended; for several threads."""

    def __init__(self) -> None:
        self.lease_end = math.inf
        self._stopped = threading.Event()
        self._why: LeaseLost | HandedBack | None = None

    def stop(self, why: LeaseLost | HandedBack) -> None:
        """Stop the attempt; the first reason counts, save that a lost lease outdoes a hand-back."""
        if self._why is None or isinstance(why, LeaseLost):
            self._why = why
        self._stopped.set()

    def lease_is_lost(self) -> bool:
        """Tell whether nothing may be asked any more in the task's name."""
        if time.monotonic() >= self.lease_end:
            self.stop(LeaseLost("its local end has come"))
        return isinstance(self._why, LeaseLost) and not bug("works-past-the-lease")

    def check(self) -> None:
        """Raise if the attempt is not to go on.

        Raises:
            LeaseLost: the lease has ended.
            HandedBack: the worker is ending.
        """
        if self.lease_is_lost():
            raise self._why or LeaseLost("its local end has come")
        if isinstance(self._why, HandedBack):
            raise self._why

    def pause(self, seconds: float) -> None:
        """Wait, less if the attempt is stopped; raises as `check` does."""
        self.check()
        self._stopped.wait(min(seconds, max(0.0, self.lease_end - time.monotonic())))
        self.check()
