"""The staging root: creates the preloaded files of a scenario, and lists the content at a given moment."""

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


def create_preloaded_files(scenario: Scenario, root: Path, outside: Path, task_id: str) -> None:
    """Create the preloaded files; links point to a directory outside the root, which has one file."""
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
    """Set the modification time of a path to `hours` ago, without following links."""
    then = time.time() - hours * SECONDS_PER_HOUR
    os.utime(path, (then, then), follow_symlinks=False)


PathStates = dict[str, tuple[object, ...]]
"""The states of preloaded paths, by path; two states are equal if the path was not touched in between."""


def path_states(scenario: Scenario, root: Path, outside: Path, task_id: str) -> PathStates:
    """Return the state of each preloaded path and of the directory that links point to.

    In that directory reading is detected, too, by access times, if the file system records them: `relatime` updates an
    access time that is not later than the modification time, so they are set to 0 here.
    """
    found = {file.path: _state(_path(root, file.path, task_id)) for file in scenario.preloaded_files}
    paths = [*outside.iterdir(), outside]
    _reset_access_times(paths)
    found[BEHIND_LINKS] = _state_behind_links(outside)
    _reset_access_times(paths)
    return found


def unchanged_files(before: PathStates, scenario: Scenario, root: Path, outside: Path, task_id: str) -> dict[str, bool]:
    """Return for each preloaded path whether it is unchanged, or, if its removal is expected, whether it still exists.

    `BEHIND_LINKS` is the key of the directory that links point to.
    """
    found = {}
    for file in scenario.preloaded_files:
        path = _path(root, file.path, task_id)
        exists = (path / LEFT).is_file() if file.type == "directory" else os.path.lexists(path)
        found[file.path] = _state(path) == before[file.path] if file.unchanged else exists
    return found | {BEHIND_LINKS: _state_behind_links(outside) == before[BEHIND_LINKS]}


def _reset_access_times(paths: list[Path]) -> None:
    for path in paths:
        os.utime(path, ns=(0, path.lstat().st_mtime_ns))


def _state_behind_links(outside: Path) -> tuple[object, ...]:
    # The directory first, because listing it changes its access time.
    return (
        _status(outside, with_access_time=True),
        *(_status(path, with_access_time=True) for path in sorted(outside.iterdir())),
    )


def _state(path: Path) -> tuple[object, ...]:
    """Return the state of a path; that of a directory is its left-over file, because testing its lock changes it."""
    if path.is_symlink():
        return (*_status(path), str(path.readlink()))
    if not path.is_dir():
        return (*_status(path), path.read_bytes() if path.is_file() else None)
    left = path / LEFT
    return (*_status(path)[:3], *_status(left), left.read_bytes() if left.is_file() else None)


def _status(path: Path, *, with_access_time: bool = False) -> tuple[object, ...]:
    try:
        seen = path.lstat()
    except OSError:
        return (str(path), None, None)
    found = (str(path), seen.st_ino, f"{seen.st_mode:o} {seen.st_uid}", seen.st_size, seen.st_mtime_ns)
    return (*found, seen.st_atime_ns) if with_access_time else found


def list_entries(root: Path) -> tuple[StagedEntry, ...]:
    """Return all entries below the root."""
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
