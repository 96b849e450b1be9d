"""Reads the fields of a YAML mapping with their lines, and collects problems instead of stopping at the first.

Scalars follow YAML 1.2, as on the platform: `on` and `1_000` are text, and `010` is rejected, because parsers disagree
about its value. PyYAML only splits the file into nodes, because it follows YAML 1.1 and drops the lines.
Messages contain no values: a URL with a key may have been written into a wrong field.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from cryo_ingest.errors import BadJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import yaml

T = TypeVar("T")
C = TypeVar("C", bound=str)

INTEGER = re.compile(r"0|[1-9][0-9]{0,29}")
DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?")
NOT_TEXT = re.compile(
    r"~?|null|Null|NULL|true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
"""Plain scalars that YAML 1.2 (core schema) reads as null, boolean or number."""

DEFAULT_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))
"""The tags of nodes without an explicit tag, in PyYAML's BaseLoader."""

SHOWN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake; `line` is counted from 1, and `path` is the field's, such as `mode.to_block`."""

    line: int
    path: str
    problem: str


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """Return a file's content; of a larger file, a part that is too large as well.

    Raises:
        BadJob: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise BadJob(path.name, [f"can't be read: {error.strerror}"]) from None


def parse_file(content: bytes, name: str, *, max_bytes: int, read: Callable[[Fields], T]) -> T:
    """Return what `read` makes of the fields of a file.

    Raises:
        BadJob: the file is too large or has mistakes; the message names each with its line and field.
    """
    if len(content) > max_bytes:
        raise BadJob(name, [f"is larger than {max_bytes} bytes"])
    problems: list[Problem] = []
    found = read(Fields.of(compose(content, name), "", problems))
    if problems:
        raise BadJob(name, [f"line {each.line}: {each.path}: {each.problem}" for each in sorted(set(problems))])
    return found


@dataclass(slots=True)
class Fields:
    """One mapping of the file. A bad field has a problem in `problems`, and its value is a placeholder."""

    path: str
    line: int
    problems: list[Problem]
    nodes: dict[str, yaml.Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, node: yaml.Node, path: str, problems: list[Problem]) -> Fields:
        """Read a mapping's keys; anything else than a mapping is a problem."""
        fields = cls(path, line_of(node), problems)
        if node.id != "mapping":
            problems.append(Problem(fields.line, path or "the file", "must be a mapping (`name: value` lines)"))
            return fields
        for key, value in node.value:
            line = line_of(key)
            if key.id != "scalar":
                problems.append(Problem(line, path or "the file", "a field's name must be text"))
            elif key.value in fields.nodes:
                problems.append(Problem(line, fields.path_of(key.value), f"repeats line {fields.lines[key.value]}"))
            else:
                fields.nodes[key.value], fields.lines[key.value] = value, line
        return fields

    def path_of(self, name: str) -> str:
        """Return a field's path in the file; unusual names are not repeated."""
        shown = name if SHOWN_NAME.fullmatch(name) else "(a name that is not shown)"
        return f"{self.path}.{shown}" if self.path else shown

    def add_problem(self, name: str, problem: str) -> None:
        """Record a mistake of a field, at its line; a missing field has the mapping's line."""
        self.problems.append(Problem(self.lines.get(name, self.line), self.path_of(name), problem))

    def text(self, name: str, *, check: Callable[[str], str | None] = lambda _: None) -> str:
        """Return a text field; `check` returns the problem of a value, or None."""
        node = self._scalar(name)
        if node is None:
            return ""
        if node.style is None and NOT_TEXT.fullmatch(node.value):
            self.add_problem(name, "must be text; put it in quotes")
            return ""
        problem = check(node.value)
        if problem is not None:
            self.add_problem(name, problem)
        return str(node.value)

    def choice(self, name: str, choices: tuple[C, ...]) -> C | None:
        """Return a text field that must be one of `choices`; None if it is not."""
        value = self.text(name, check=lambda value: None if value in choices else f"must be {' or '.join(choices)}")
        return next((choice for choice in choices if choice == value), None)

    def integer(self, name: str, *, minimum: int, maximum: int) -> int:
        """Return a whole number in decimal digits."""
        node = self._scalar(name)
        if node is None:
            return minimum
        value = int(node.value) if node.style is None and INTEGER.fullmatch(node.value) else None
        if value is None or not minimum <= value <= maximum:
            bounds = f"of at least {minimum}" if value is None or value < minimum else f"of at most {maximum}"
            self.add_problem(name, f"must be a whole number {bounds}, in plain digits")
            return minimum
        return value

    def seconds(self, name: str) -> float:
        """Return a duration in seconds, greater than 0."""
        node = self._scalar(name)
        if node is None:
            return 1.0
        value = float(node.value) if node.style is None and DECIMAL.fullmatch(node.value) else 0.0
        if value <= 0 or not math.isfinite(value):
            self.add_problem(name, "must be a number of seconds greater than 0")
            return 1.0
        return value

    def mapping(self, name: str) -> Fields:
        """Return a field that is itself a mapping."""
        node = self._node(name)
        if node is None:
            return Fields(self.path_of(name), self.line, [])
        return Fields.of(node, self.path_of(name), self.problems)

    def mappings(self) -> Iterator[tuple[str, Fields]]:
        """Yield each field's name and its mapping."""
        for name in self.nodes:
            yield name, self.mapping(name)

    def reject_unknown(self, known: tuple[str, ...]) -> None:
        """Record a problem for each field that is not in `known`, with the similar name that may have been meant."""
        for name in self.nodes.keys() - set(known):
            similar = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {similar[0]}?" if similar else f"the fields here are {', '.join(known)}"
            self.add_problem(name, f"is not a field of a job; {hint}")

    def _node(self, name: str) -> yaml.Node | None:
        node = self.nodes.get(name)
        if node is None:
            self.add_problem(name, "is missing")
        elif node.tag not in DEFAULT_TAGS:
            self.add_problem(name, "has a YAML tag; remove it")
        return node

    def _scalar(self, name: str) -> yaml.ScalarNode | None:
        node = self._node(name)
        if node is None:
            return None
        if node.id != "scalar":
            self.add_problem(name, "must be a single value")
            return None
        return node


def line_of(node: yaml.Node) -> int:
    """Return the line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


def compose(content: bytes, name: str) -> yaml.Node:
    """Split a file's content into nodes.

    Raises:
        BadJob: it is not YAML, or empty.
    """
    import yaml  # noqa: PLC0415 - only the commands of jobs need it

    try:
        text = content.decode("utf-8-sig")
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except UnicodeDecodeError as error:
        raise BadJob(name, [f"line {content[: error.start].count(10) + 1}: is not UTF-8"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadJob(name, [f"{where}is not YAML: {error.problem or error.context}"]) from None
    except yaml.reader.ReaderError as error:
        raise BadJob(name, [f"line {text[: error.position].count(chr(10)) + 1}: is not YAML: {error.reason}"]) from None
    except (yaml.YAMLError, RecursionError):
        raise BadJob(name, ["is not YAML, or is nested too deeply"]) from None
    if root is None:
        raise BadJob(name, ["is empty; docs/sync.md has an example"])
    return root
