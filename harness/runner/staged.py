"""The staging root: what a scenario plants there, and what is there at a moment."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.history import StagedEntry

if TYPE_CHECKING:
    from harness.scenario import Scenario

SECONDS_PER_HOUR = 3600


def plant(scenario: Scenario, root: Path, outside: Path) -> None:
    """Put there what the scenario says; links lead to a directory outside, which holds one file."""
    root.mkdir(mode=0o700)
    outside.mkdir()
    (outside / "kept.parquet").write_bytes(b"somebody else's")
    for planted in scenario.planted:
        path = root / planted.path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if planted.type == "directory":
            path.mkdir(mode=0o700)
            (path / "left.parquet").write_bytes(b"left over")
        elif planted.type == "file":
            path.write_bytes(b"a file")
        else:
            path.symlink_to(outside, target_is_directory=True)
        if planted.owner is not None:
            os.chown(path, planted.owner, planted.owner, follow_symlinks=False)
    for planted in scenario.planted:
        age(root / planted.path, planted.age_hours)


def age(path: Path, hours: float) -> None:
    """Set a path's own modification time back."""
    then = time.time() - hours * SECONDS_PER_HOUR
    os.utime(path, (then, then), follow_symlinks=False)


def still_there(scenario: Scenario, root: Path, outside: Path) -> dict[str, bool]:
    """Tell of each planted path, and of what a link leads to, whether it is there as it was."""
    found = {}
    for planted in scenario.planted:
        path = root / planted.path
        there = (path / "left.parquet").is_file() if planted.type == "directory" else os.path.lexists(path)
        found[planted.path] = there
    whole = (outside / "kept.parquet").is_file() and len(list(outside.iterdir())) == 1
    return found | {"(behind links)": whole}


def look(root: Path) -> tuple[StagedEntry, ...]:
    """Return everything below the root."""
    found = []
    for folder, names, files in os.walk(root):
        for name in sorted([*names, *files]):
            path = Path(folder) / name
            try:
                mode = path.lstat().st_mode
            except OSError:
                continue
            kind = "link" if stat.S_ISLNK(mode) else "directory" if stat.S_ISDIR(mode) else "file"
            found.append(StagedEntry(path=str(path.relative_to(root)), type=kind, mode=oct(stat.S_IMODE(mode))[2:]))
    return tuple(found)
