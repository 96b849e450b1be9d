"""Short names for long texts of a history (prefixes, task ids, the staging root), and escaped control characters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.contract import dataset_version, prefix
from harness.history import Event, TaskCreated, of, scenario_started

LAST_BYTE = 0xFF
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return a text with control characters escaped, so that it can't act on a terminal or a page."""
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number <= LAST_BYTE else f"\\u{number:04x}"


def short_names(events: Sequence[Event]) -> dict[str, str]:
    """Return the short name for each long text.

    Only the prefix that the contract requires has a short name, so that keys below another prefix stand out.
    """
    names: dict[str, str] = {}
    if not events:
        return names
    tasks = of(events, TaskCreated)
    several = len({event.task_id for event in tasks}) > 1
    for event in tasks:
        suffix = f"-{event.task}" if several else ""
        names.setdefault(event.task_id, f"{{task{suffix}}}")
        try:
            names.setdefault(prefix(event.payload), f"{{prefix{suffix}}}/")
            names.setdefault(dataset_version(event.payload), f"{{version{suffix}}}")
        except (KeyError, TypeError):
            continue  # an invalid payload has no prefix
    start = scenario_started(events)
    names[start.staging_root] = "{staging}"
    names[start.bucket] = "{bucket}"
    return {long: short for long, short in names.items() if long}


def shorten(text: str, names: dict[str, str]) -> str:
    """Return a text with short names, printable."""
    for long in sorted(names, key=len, reverse=True):
        text = text.replace(long, names[long])
    return printable(text)
