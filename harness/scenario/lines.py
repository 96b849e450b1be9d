"""On which line of a TOML file something stands, told by its place in the parsed value: tomllib does not say.

A statement is the shortest run of lines that is TOML by itself, so that the file is cut into statements by asking
tomllib again and again, and no grammar is written down here.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

Place = tuple[int | str, ...]
BEGINNING = re.compile(r"""\s*($|#|\[|[A-Za-z0-9_"'][^={}]*=)""")
"""What a line looks like where a statement may begin: no other line is worth asking after."""

LONGEST_ARRAY = 300
"""Lines of one; in a longer one no item is looked for, which takes time by the square of them."""


class _Statement(NamedTuple):
    """A header or a key with its value: the first line, from 0, the lines, and the place that it defines."""

    first: int
    lines: list[str]
    place: Place


def located(path: Path, text: str, loc: Place, message: str) -> str:
    """Say what is wrong with a TOML file, with the line on which the thing at `loc`, or what is to hold it, stands."""
    where = ".".join(str(part) for part in loc)
    return f"{path.name}, line {line_of(text, loc)}: {where}: {message}"


def line_of(text: str, loc: Place) -> int:
    """Return the line, from 1, of the innermost part of `loc` that the file has."""
    best = _Statement(0, [], ())
    for statement in _statements(text):
        shared = _shared(statement.place, loc)
        if shared > _shared(best.place, loc) and shared >= min(len(statement.place), len(loc)):
            best = statement
    return best.first + _within(best, loc) + 1


def _shared(one: Place, other: Place) -> int:
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
    header: Place = ()
    counts: Counter[Place] = Counter()
    lines: list[str] = []
    for at, line in enumerate(all_lines):
        lines.append(line)
        if at + 1 < len(all_lines) and not BEGINNING.match(all_lines[at + 1]):
            continue
        parsed = _parsed("\n".join(lines))
        if parsed is None:
            continue
        first, statement, lines = at + 1 - len(lines), lines, []
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


def _numbered(keys: Place, counts: Counter[Place]) -> Place:
    """Return the place of a header's table: below an array of tables it is in the last one."""
    place: Place = ()
    for key in keys:
        place = (*place, key)
        if counts[place]:
            place = (*place, counts[place] - 1)
    return place


def _keys(parsed: Any) -> Place:
    """Return the keys of one statement; what a value holds is looked at only where it is needed."""
    keys: Place = ()
    while isinstance(parsed, dict) and len(parsed) == 1:
        key, parsed = next(iter(parsed.items()))
        keys = (*keys, key)
    return keys


def _within(statement: _Statement, loc: Place) -> int:
    """Return on which line of a statement an item of its array stands: the first by which the array has so many."""
    wanted = next((part for part in loc[_shared(statement.place, loc) :][:1] if isinstance(part, int)), None)
    if wanted is None or len(statement.lines) > LONGEST_ARRAY:
        return 0
    for at in range(len(statement.lines) - 1):
        parsed: Any = _parsed("\n".join([*statement.lines[: at + 1], "]"]))
        while isinstance(parsed, dict):
            parsed = next(iter(parsed.values()), None)
        if isinstance(parsed, list) and len(parsed) > wanted:
            return at
    return len(statement.lines) - 1


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
