"""The staging disk of simulated workers: what it holds, virtual times of its files, what a loss of power does to it."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.history import StagedEntry

if TYPE_CHECKING:
    from random import Random

    from harness.simulate.loop import SimulatedClock

STAGING_ROOT = "/staging"
"""The staging root in histories."""

OLD_SECONDS = 60.0
FREE_BYTES = 10 * 1024**3
"""Free space of a disk that is not full."""


@dataclass(slots=True)
class SimulatedDisk:
    """One staging root, which the workers share, and which outlives them."""

    root: Path
    clock: SimulatedClock
    random: Random

    def shown(self, directory: Path) -> str:
        """Name a directory as every machine does, so that histories can be compared."""
        return f"{STAGING_ROOT}/{directory.relative_to(self.root)}"

    def stamp(self, *paths: Path) -> None:
        """Give paths the virtual time as modification time."""
        now = self.clock.time()
        for path in paths:
            os.utime(path, (now, now))

    def stamp_all(self) -> None:
        """Give everything below the root the virtual time."""
        self.stamp(*self._paths())

    def age(self) -> None:
        """Make what has a real modification time older than any time to live: a sweep must look at the locks."""
        now = self.clock.time()
        for path in self._paths():
            if path.stat().st_mtime > now:
                os.utime(path, (now - OLD_SECONDS, now - OLD_SECONDS))

    def entries(self) -> tuple[StagedEntry, ...]:
        """List everything below the staging root."""
        entries = []
        for path in self._paths():
            kind: Literal["directory", "file"] = "directory" if path.is_dir() else "file"
            mode = f"{path.lstat().st_mode & 0o7777:o}"
            entries.append(StagedEntry(path=str(path.relative_to(self.root)), type=kind, mode=mode))
        return tuple(entries)

    def locked(self) -> tuple[str, ...]:
        """Return the directories below the root that a worker has locked."""
        return tuple(self.shown(path) for path in self._paths() if path.is_dir() and _is_locked(path))

    def lose_power(self) -> None:
        """Lose what was not synchronised: a file is still there, cut off, empty or gone, whatever came after it."""
        for path in self._paths():
            if path.is_dir():
                continue
            fate = self.random.choice(("kept", "cut-off", "empty", "gone"))
            if fate == "gone":
                path.unlink()
            elif fate != "kept":
                os.truncate(path, path.stat().st_size // 2 if fate == "cut-off" else 0)

    def _paths(self) -> list[Path]:
        return sorted(self.root.rglob("*"))


def _is_locked(directory: Path) -> bool:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
