"""The cache folder: binaries and folders that are made from packages, each made once.

Names contain the pinned version, so that an entry never changes. `packages.py` and `trees.py` make the entries.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def cache_folder() -> Path:
    """Return the cache folder: below `$XDG_CACHE_HOME`, else below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cryo-harness"


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return the file or folder `name` of the cache; `make` creates it if it does not exist.

    `make` gets a path that does not exist and creates a file or a folder there, which is then renamed into the cache.
    A lock ensures that concurrent processes make it only once.
    """
    path = cache_folder() / "made" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            clear(path.parent, f".{name}.folder-")
            fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{name}.folder-"))
            try:
                make(fresh / "made")
                (fresh / "made").rename(path)
            finally:
                shutil.rmtree(fresh)
    return path


def clear(folder: Path, prefix: str) -> None:
    """Delete the folders that a killed process left; the caller must have the lock that the process had."""
    for leftover in folder.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
