"""Measures the difference between this machine's clock and the store's, for the message of `ClockSkewed`."""

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
    """Return how many seconds this clock is ahead of the endpoint's `Date`, None without one.

    The request is unsigned: the headers of any response have the time.
    """
    request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310 - the settings only allow http and https
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - as above
            date = response.headers.get("Date")
    except urllib.error.HTTPError as error:
        with error:
            date = error.headers.get("Date")
    except (OSError, ValueError):
        return None
    return _seconds_ahead(lambda: parsedate_to_datetime(date or ""))


def difference_in_error(text: str) -> float | None:
    """Return the same from the `ServerTime` in S3's error document, None without one."""
    match = re.search(r"<ServerTime>([0-9TZ:.+-]{1,40})</ServerTime>", text)
    return None if match is None else _seconds_ahead(lambda: datetime.fromisoformat(match[1]))


def _seconds_ahead(read: Callable[[], datetime]) -> float | None:
    try:
        return time.time() - read().timestamp()
    except (ValueError, OverflowError, OSError):
        return None
