"""How far this machine's clock is from the store's, for the message of `ClockSkewed`. Asked only after a refusal."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime

TIMEOUT_SECONDS = 10.0


def clock_difference(endpoint: str) -> float | None:
    """Return by how many seconds this clock is ahead of the `Date` that the endpoint answers; None without one.

    The request is unsigned: whatever the answer is, its headers tell the time.
    """
    request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310 - the settings let http and https through
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as refusal:
        with refusal:
            date = refusal.headers.get("Date")
    except (OSError, ValueError):
        return None
    return _ahead_of(lambda: parsedate_to_datetime(date or ""))


def difference_in_answer(words: str) -> float | None:
    """Return the same from the `ServerTime` of S3's error document, where there is one."""
    match = re.search(r"<ServerTime>([0-9TZ:.+-]{1,40})</ServerTime>", words)
    return None if match is None else _ahead_of(lambda: datetime.fromisoformat(match[1]))


def _ahead_of(read: Callable[[], datetime]) -> float | None:
    try:
        return time.time() - read().timestamp()
    except (ValueError, OverflowError, OSError):
        return None
