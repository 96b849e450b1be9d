"""When a call may be sent: the limit of the attempt and the `Retry-After` of an endpoint (RPC-2)."""

from __future__ import annotations

import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from harness.reference.bugs import has_bug

if TYPE_CHECKING:
    from harness.reference.cancellation import Cancellation

CALLS_OF_A_BATCH = 10


class Pace:
    """Spaces the calls of an attempt evenly, whichever thread sends them; safe for several threads."""

    def __init__(self, calls_per_second: int | None, cancellation: Cancellation) -> None:
        self._step_seconds = 1 / calls_per_second if calls_per_second else 0.0
        self._cancellation = cancellation
        self._lock = threading.Lock()
        self._next = 0.0
        self._calls = 0

    def wait(self) -> None:
        """Wait until one more call may be sent."""
        with self._lock:
            self._calls += 1
            if has_bug("counts-a-batch-as-one-call") and self._calls % CALLS_OF_A_BATCH:
                return
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._step_seconds
        if at > now:
            self._cancellation.pause(at - now)


class Closed:
    """The time before which an endpoint must not be called, because it answered 429 with `Retry-After`."""

    def __init__(self) -> None:
        self._until = 0.0

    def close(self, retry_after: str | None) -> None:
        """Read a `Retry-After`: a number of seconds or a date; anything else is ignored."""
        if retry_after is None or has_bug("ignores-retry-after"):
            return
        try:
            seconds = float(retry_after) if retry_after.isdecimal() else _seconds_until(retry_after)
        except ValueError:
            return
        self._until = max(self._until, time.monotonic() + seconds)

    def wait(self, cancellation: Cancellation) -> float:
        """Wait until the endpoint may be called, and return how many seconds that took."""
        began = time.monotonic()
        while (remaining := self._until - time.monotonic()) > 0:
            cancellation.pause(remaining)
        return time.monotonic() - began


def _seconds_until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()
