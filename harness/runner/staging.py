"""The staging root: what a scenario plants there, and what is there at a moment."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.history import BEHIND_LINKS, StagedEntry

if TYPE_CHECKING:
    from harness.scenario import Scenario

SECONDS_PER_HOUR = 3600
LEFT = "left.parquet"


def plant(scenario: Scenario, root: Path, outside: Path, task_id: str) -> None:
    """Put there what the scenario says; links lead to a directory outside, which holds one file."""
    root.mkdir(mode=0o700)
    outside.mkdir()
    (outside / "kept.parquet").write_bytes(b"somebody else's")
    for file in scenario.preloaded_files:
        path = _path(root, file.path, task_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if file.type == "directory":
            path.mkdir(mode=0o700)
            (path / LEFT).write_bytes(b"left over")
        elif file.type == "file":
            path.write_bytes(b"a file")
        else:
            path.symlink_to(outside, target_is_directory=True)
        if file.owner is not None:
            os.chown(path, file.owner, file.owner, follow_symlinks=False)
    for file in scenario.preloaded_files:
        age(_path(root, file.path, task_id), file.age_hours)


def _path(root: Path, name: str, task_id: str) -> Path:
    return root / name.replace("{task}", task_id)


def age(path: Path, hours: float) -> None:
    """Set a path's own modification time back."""
    then = time.time() - hours * SECONDS_PER_HOUR
    os.utime(path, (then, then), follow_symlinks=False)


States = dict[str, tuple[object, ...]]
"""What planted paths are, by name: equal where nobody touched them."""


def states(scenario: Scenario, root: Path, outside: Path, task_id: str) -> States:
    """Look at each planted path, and at what links lead to, so that every later change of it can be seen.

    Behind links reading leaves a mark, too, where the file system keeps access times: `relatime` does after a change,
    and setting them here is one.
    """
    found = {file.path: _as_it_is(_path(root, file.path, task_id)) for file in scenario.preloaded_files}
    paths = [*outside.iterdir(), outside]
    _never_read(paths)
    found[BEHIND_LINKS] = _behind(outside)
    _never_read(paths)
    return found


def untouched(before: States, scenario: Scenario, root: Path, outside: Path, task_id: str) -> dict[str, bool]:
    """Tell of each path whether it is as it was, of what links lead to as well; of what is to go, whether it is."""
    found = {}
    for file in scenario.preloaded_files:
        path = _path(root, file.path, task_id)
        there = (path / LEFT).is_file() if file.type == "directory" else os.path.lexists(path)
        found[file.path] = _as_it_is(path) == before[file.path] if file.unchanged else there
    return found | {BEHIND_LINKS: _behind(outside) == before[BEHIND_LINKS]}


def _never_read(paths: list[Path]) -> None:
    for path in paths:
        os.utime(path, ns=(0, path.lstat().st_mtime_ns))


def _behind(outside: Path) -> tuple[object, ...]:
    # The directory first: to list it is to read it.
    return (_status(outside, reading=True), *(_status(path, reading=True) for path in sorted(outside.iterdir())))


def _as_it_is(path: Path) -> tuple[object, ...]:
    """Describe a path: a directory by what was left in it, since to look for a lock there is no change."""
    if path.is_symlink():
        return (*_status(path), str(path.readlink()))
    if not path.is_dir():
        return (*_status(path), path.read_bytes() if path.is_file() else None)
    left = path / LEFT
    return (*_status(path)[:3], *_status(left), left.read_bytes() if left.is_file() else None)


def _status(path: Path, *, reading: bool = False) -> tuple[object, ...]:
    try:
        seen = path.lstat()
    except OSError:
        return (str(path), None, None)
    found = (str(path), seen.st_ino, f"{seen.st_mode:o} {seen.st_uid}", seen.st_size, seen.st_mtime_ns)
    return (*found, seen.st_atime_ns) if reading else found


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
