"""Applies a planted bug when the worker's modules are imported; nothing on the disk changes."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Protocol

from simulation.planted.table import BadPatch, all_bugs


class Patch(Protocol):
    """A change of one module's source."""

    @property
    def module(self) -> str:
        """The module's name."""

    def apply(self, source: str) -> str:
        """Return the patched source."""


class PatchingLoader(SourceFileLoader):
    """Compiles a patched source, and neither reads nor writes a compiled file."""

    def __init__(self, name: str, path: str, edits: Sequence[Patch]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the patched module."""
        path = self.get_filename(fullname)
        source = self.get_data(path).decode()
        for edit in self._edits:
            source = edit.apply(source)
        return compile(source, path, "exec", dont_inherit=True)


class PatchingFinder(MetaPathFinder):
    """Finds the modules that a bug patches; `name` is the bug's."""

    def __init__(self, name: str, edits: Sequence[Patch]) -> None:
        self.name = name
        self._edits: dict[str, list[Patch]] = defaultdict(list)
        for edit in edits:
            self._edits[edit.module].append(edit)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec with a patching loader, None for all other modules."""
        if fullname not in self._edits:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = PatchingLoader(fullname, spec.origin, self._edits[fullname])
        return spec


def plant(name: str) -> None:
    """Let this process import the worker with a bug; planting the same one again does nothing.

    Raises:
        BadPatch: there is no such bug, or the worker has been imported already without it.
    """
    if name not in all_bugs():
        raise BadPatch(f"there is no planted bug {name!r}; tests/simulation/planted/*.toml has all of them")
    planted = [finder.name for finder in sys.meta_path if isinstance(finder, PatchingFinder)]
    if planted == [name]:
        return
    if planted or any(module.partition(".")[0] == "cryo_ingest" for module in sys.modules):
        raise BadPatch(f"{name}: the worker is imported already; plant one bug, in a process of its own")
    sys.meta_path.insert(0, PatchingFinder(name, all_bugs()[name].edits))
