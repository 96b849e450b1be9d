"""Finds the line number of a key in a TOML file; tomllib does not report it.

A location is the path of a key in the parsed file: keys, and indexes of arrays. A statement is the shortest sequence of
lines that is valid TOML on its own. The file is split into statements by calling tomllib repeatedly, so that this
module needs no grammar.
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
STATEMENT_START = re.compile(r"""\s*($|#|\[|[A-Za-z0-9_"'][^={}]*=)""")
"""A line at which a statement may begin; tomllib is called only before such lines."""

MAX_ARRAY_LINES = 300
"""Items of longer arrays are not searched, since that takes quadratic time."""


class _Statement(NamedTuple):
    """A table header, or a key with its value.

    `first` is the index of its first line, from 0; `location` is the location that it defines.
    """

    first: int
    lines: list[str]
    location: Location


def message_with_line(path: Path, text: str, loc: Location, message: str) -> str:
    """Return an error message with the file and the line of `loc`, or of the innermost part of it that exists."""
    where = ".".join(str(part) for part in loc)
    return f"{path.name}, line {line_of(text, loc)}: {where}: {message}"


def line_of(text: str, loc: Location) -> int:
    """Return the line, from 1, of the innermost part of `loc` that exists in the file."""
    best = _Statement(0, [], ())
    for statement in _statements(text):
        length = _common_prefix_length(statement.location, loc)
        # One of the two locations must be a prefix of the other one.
        is_prefix = length == min(len(statement.location), len(loc))
        if is_prefix and length > _common_prefix_length(best.location, loc):
            best = statement
    return best.first + _line_of_array_item(best, loc) + 1


def _common_prefix_length(first: Location, second: Location) -> int:
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return length


@lru_cache(maxsize=1)
def _statements(text: str) -> tuple[_Statement, ...]:
    return tuple(_split_into_statements(text.split("\n")))


def _split_into_statements(all_lines: list[str]) -> Iterator[_Statement]:
    header: Location = ()
    counts: Counter[Location] = Counter()
    lines: list[str] = []
    for index, line in enumerate(all_lines):
        lines.append(line)
        if index + 1 < len(all_lines) and not STATEMENT_START.match(all_lines[index + 1]):
            continue
        parsed = _parsed("\n".join(lines))
        if parsed is None:
            continue
        first, statement, lines = index + 1 - len(lines), lines, []
        if not parsed:
            continue
        keys = _keys(parsed)
        if statement[0].lstrip().startswith("["):
            is_table_array = statement[0].lstrip().startswith("[[")
            header = _with_array_indexes(keys[:-1] if is_table_array else keys, counts)
            if is_table_array:
                counts[(*header, keys[-1])] += 1
                header = (*header, keys[-1], counts[(*header, keys[-1])] - 1)
            yield _Statement(first, statement, header)
        else:
            yield _Statement(first, statement, (*header, *keys))


def _with_array_indexes(keys: Location, counts: Counter[Location]) -> Location:
    """Return a header's location, with the index of the last table after each key that is an array of tables."""
    location: Location = ()
    for key in keys:
        location = (*location, key)
        if counts[location]:
            location = (*location, counts[location] - 1)
    return location


def _keys(parsed: Any) -> Location:
    """Return the path of the keys in one statement, through nested tables while each has exactly one key."""
    keys: Location = ()
    while isinstance(parsed, dict) and len(parsed) == 1:
        key, parsed = next(iter(parsed.items()))
        keys = (*keys, key)
    return keys


def _line_of_array_item(statement: _Statement, loc: Location) -> int:
    """Return the index of an array item's line in a statement: the first line after which the array has that item."""
    wanted = next(
        (part for part in loc[_common_prefix_length(statement.location, loc) :][:1] if isinstance(part, int)), None
    )
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
