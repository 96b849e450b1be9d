"""Finds the line of a TOML file for a location in the parsed value, which tomllib does not give.

A statement is the shortest sequence of lines that is valid TOML alone. The file is split into statements by calling
tomllib repeatedly, so that this module needs no grammar.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

Location = tuple[int | str, ...]
BEGINNING = re.compile(r"""\s*($|#|\[|[A-Za-z0-9_"'][^={}]*=)""")
"""A line at which a statement may begin; tomllib is called only before such lines."""

MAX_ARRAY_LINES = 300
"""In lines; items of longer arrays are not located, since that takes quadratic time."""


class _Statement(NamedTuple):
    """A header or a key with its value: the first line, from 0, the lines, and the location that it defines."""

    first: int
    lines: list[str]
    location: Location


def located(path: Path, text: str, loc: Location, message: str) -> str:
    """Return an error message with the file and the line of `loc`, or of the innermost part of it that exists."""
    where = ".".join(str(part) for part in loc)
    return f"{path.name}, line {line_of(text, loc)}: {where}: {message}"


def line_of(text: str, loc: Location) -> int:
    """Return the line, from 1, of the innermost part of `loc` that exists in the file."""
    best = _Statement(0, [], ())
    for statement in _statements(text):
        shared = _shared(statement.location, loc)
        if shared > _shared(best.location, loc) and shared >= min(len(statement.location), len(loc)):
            best = statement
    return best.first + _within(best, loc) + 1


def _shared(one: Location, other: Location) -> int:
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same


@lru_cache(maxsize=1)
def _statements(text: str) -> tuple[_Statement, ...]:
    return tuple(_cut(text.split("\n")))


def _cut(all_lines: list[str]) -> Iterator[_Statement]:
    header: Location = ()
    counts: Counter[Location] = Counter()
    lines: list[str] = []
    for index, line in enumerate(all_lines):
        lines.append(line)
        if index + 1 < len(all_lines) and not BEGINNING.match(all_lines[index + 1]):
            continue
        parsed = _parsed("\n".join(lines))
        if parsed is None:
            continue
        first, statement, lines = index + 1 - len(lines), lines, []
        if not parsed:
            continue
        keys = _keys(parsed)
        if statement[0].lstrip().startswith("["):
            many = statement[0].lstrip().startswith("[[")
            header = _numbered(keys[:-1] if many else keys, counts)
            if many:
                counts[(*header, keys[-1])] += 1
                header = (*header, keys[-1], counts[(*header, keys[-1])] - 1)
            yield _Statement(first, statement, header)
        else:
            yield _Statement(first, statement, (*header, *keys))


def _numbered(keys: Location, counts: Counter[Location]) -> Location:
    """Return the location of a header's table; below an array of tables it is in the last table."""
    location: Location = ()
    for key in keys:
        location = (*location, key)
        if counts[location]:
            location = (*location, counts[location] - 1)
    return location


def _keys(parsed: Any) -> Location:
    """Return the keys of one statement; keys inside its value are included if there is only one."""
    keys: Location = ()
    while isinstance(parsed, dict) and len(parsed) == 1:
        key, parsed = next(iter(parsed.items()))
        keys = (*keys, key)
    return keys


def _within(statement: _Statement, loc: Location) -> int:
    """Return the line of an array item within a statement: the first line after which the array has that item."""
    wanted = next((part for part in loc[_shared(statement.location, loc) :][:1] if isinstance(part, int)), None)
    if wanted is None or len(statement.lines) > MAX_ARRAY_LINES:
        return 0
    for index in range(len(statement.lines) - 1):
        parsed: Any = _parsed("\n".join([*statement.lines[: index + 1], "]"]))
        while isinstance(parsed, dict):
            parsed = next(iter(parsed.values()), None)
        if isinstance(parsed, list) and len(parsed) > wanted:
            return index
    return len(statement.lines) - 1


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
