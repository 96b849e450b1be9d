"""The table of planted bugs: what each of them does wrong, the clause that it breaks, and its patch."""

from __future__ import annotations

import importlib.util
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


class BadPatch(Exception):
    """A patch does not fit its module; the message names the bug and the module."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The replacement of one text, which a module of the worker has exactly once."""

    module: str
    old: str
    new: str

    def apply(self, source: str) -> str:
        """Return the patched source of the module.

        Raises:
            BadPatch: the source has the old text not at all, or several times.
        """
        count = source.count(self.old)
        if count != 1:
            raise BadPatch(f"{self.module} has the old text {count} times, not once; update it: {self.old!r}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Bug:
    """A planted bug; `does` is one sentence about what the worker does wrong.

    `missed` is the reason why the simulation can't find it, empty if it must.
    """

    name: str
    clause: str
    does: str
    edits: tuple[Edit, ...]
    missed: str = ""


@cache
def all_bugs() -> dict[str, Bug]:
    """Return all bugs by name, in the order of the files and in each file's own order.

    Raises:
        BadPatch: two bugs have the same name.
    """
    found: dict[str, Bug] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["bug"]:
            edits = tuple(Edit(**edit) for edit in entry.pop("edits"))
            bug = Bug(edits=edits, **entry)
            if bug.name in found:
                raise BadPatch(f"{path.name}: there is another bug {bug.name!r}; rename one of them")
            found[bug.name] = bug
    return found


def source_of(module: str) -> str:
    """Return the source of a module of the worker, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise BadPatch(f"there is no module {module}; update the edit")
    return Path(spec.origin).read_text(encoding="utf-8")
