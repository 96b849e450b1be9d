"""Short words for what is long in a history: prefixes, ids of tasks, the staging root; and what is unprintable."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.contract import dataset_version, prefix
from harness.history import Event, TaskEntered, begun, of

LAST_BYTE = 0xFF
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return a text that does nothing to a terminal or a page: control characters are written out."""
    return _UNPRINTABLE.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number <= LAST_BYTE else f"\\u{number:04x}"


def names_of(events: Sequence[Event]) -> dict[str, str]:
    """Return the short word for each long one.

    A prefix is the one that the contract calls for: a key elsewhere stays as it is, and so is seen to be elsewhere.
    """
    found: dict[str, str] = {}
    if not events:
        return found
    tasks = of(events, TaskEntered)
    many = len({event.task_id for event in tasks}) > 1
    for event in tasks:
        number = f"-{event.task}" if many else ""
        found.setdefault(event.task_id, f"{{task{number}}}")
        try:
            found.setdefault(prefix(event.payload), f"{{prefix{number}}}/")
            found.setdefault(dataset_version(event.payload), f"{{version{number}}}")
        except (KeyError, TypeError):
            continue  # a bad payload has no prefix
    first = begun(events)
    found[first.staging_root] = "{staging}"
    found[first.bucket] = "{bucket}"
    return {long: short for long, short in found.items() if long}


def shorten(text: str, names: dict[str, str]) -> str:
    """Return a text in short words, printable."""
    for long in sorted(names, key=len, reverse=True):
        text = text.replace(long, names[long])
    return printable(text)
