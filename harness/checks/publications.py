"""Reads publications from what a worker printed or sent; a worker under test may send anything."""

from __future__ import annotations

from typing import Any

from harness.json_utils import json_object

MAX_PUBLICATIONS = 100


def printed_publications(stdout: str) -> tuple[dict[str, Any], ...]:
    """Return the JSON objects among the lines of a worker's output, at most `MAX_PUBLICATIONS`."""
    publications: list[dict[str, Any]] = []
    # Not splitlines: it also splits at characters such as U+2028, which JSON allows within a string.
    for line in stdout.split("\n"):
        value = json_object(line)
        if value is not None:
            publications.append(value)
        if len(publications) >= MAX_PUBLICATIONS:
            break
    return tuple(publications)


def publications_of(request: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the publications of a completion; a value of the wrong type becomes an object that describes it."""
    published = request.get("datasets_published")
    if not isinstance(published, list | tuple | None):
        return ({"not a list": published},)
    return tuple(item if isinstance(item, dict) else {"not an object": item} for item in published or ())
