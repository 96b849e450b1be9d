"""The staging root: what a scenario plants there, and what is there at a moment."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.history import StagedEntry

if TYPE_CHECKING:
    from harness.scenario import Scenario

SECONDS_PER_HOUR = 3600


def plant(scenario: Scenario, root: Path, outside: Path, task_id: str) -> None:
    """Put there what the scenario says; links lead to a directory outside, which holds one file."""
    root.mkdir(mode=0o700)
    outside.mkdir()
    (outside / "kept.parquet").write_bytes(b"somebody else's")
    for planted in scenario.planted:
        path = _path(root, planted.path, task_id)
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
        age(_path(root, planted.path, task_id), planted.age_hours)


def _path(root: Path, name: str, task_id: str) -> Path:
    return root / name.replace("{task}", task_id)


def age(path: Path, hours: float) -> None:
    """Set a path's own modification time back."""
    then = time.time() - hours * SECONDS_PER_HOUR
    os.utime(path, (then, then), follow_symlinks=False)


def still_there(scenario: Scenario, root: Path, outside: Path, task_id: str) -> dict[str, bool]:
    """Tell of each planted path, and of what a link leads to, whether it is there as it was."""
    found = {}
    for planted in scenario.planted:
        path = _path(root, planted.path, task_id)
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
            kind: Literal["link", "directory", "file"] = "file"
            if stat.S_ISLNK(mode) or stat.S_ISDIR(mode):
                kind = "link" if stat.S_ISLNK(mode) else "directory"
            found.append(StagedEntry(path=str(path.relative_to(root)), type=kind, mode=f"{stat.S_IMODE(mode):o}"))
    return tuple(found)
