"""A mutant: one small change of one module, and how it prints."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mutant:
    """The replacement of the bytes from `start` to `end` of a module's source.

    `number` tells the mutants of one operator in one line apart. `lines` are the first and the last line of the
    statement, or of its first lines if it has a block. A statement that is executed only when the module is imported
    defines `symbol`; runs that use it may notice the change.
    """

    module: str
    line: int
    operator: str
    number: int
    start: int
    end: int
    replacement: str
    lines: tuple[int, int]
    symbol: str = ""

    @property
    def name(self) -> str:
        """The name by which it can be run alone: module:line:operator:number."""
        return f"{self.module}:{self.line}:{self.operator}:{self.number}"

    def apply(self, source: str) -> str:
        """Return the mutated source."""
        content = source.encode()
        return (content[: self.start] + self.replacement.encode() + content[self.end :]).decode()

    def diff(self, source: str) -> str:
        """Return the changed lines, with one line around them."""
        before, after = source.splitlines(), self.apply(source).splitlines()
        lines = list(difflib.unified_diff(before, after, n=1, lineterm=""))
        return "\n".join(lines[2:])

    def save(self, path: Path) -> None:
        """Write a JSON file, from which another process loads it."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def load(path: Path) -> Mutant:
    """Read a file that `Mutant.save` has written."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    return Mutant(**fields | {"lines": tuple(fields["lines"])})
