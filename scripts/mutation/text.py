"""The source of a module as text with positions: the columns of Python's syntax tree count bytes."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from itertools import accumulate

Located = ast.expr | ast.stmt | ast.excepthandler


@dataclass(slots=True)
class Text:
    """A source, and the byte at which each of its lines starts."""

    source: str
    content: bytes = field(init=False)
    starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.content = self.source.encode()
        lines = self.content.splitlines(keepends=True)
        self.starts = [0, *accumulate(len(line) for line in lines)]

    def start(self, node: Located) -> int:
        """Return the first byte of a node."""
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: Located) -> int:
        """Return the byte after a node."""
        assert node.end_lineno is not None  # noqa: S101 - a parsed tree has it
        assert node.end_col_offset is not None  # noqa: S101 - as above
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: Located) -> str:
        """Return the text of a node."""
        return self.between(self.start(node), self.end(node))

    def between(self, start: int, end: int) -> str:
        """Return the text between two bytes."""
        return self.content[start:end].decode()
