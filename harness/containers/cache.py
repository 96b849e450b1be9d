"""The folder for what outlives a run: binaries and trees that packages were made into, each made once and whole.

What goes in is `packages.py`'s business; a name carries its pin, so that nothing here ever changes.
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
    """Return the folder for what outlives a run: below `$XDG_CACHE_HOME`, else below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cryo-harness"


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return the file or folder `name` of the cache, made by `make` where it is not there yet.

    `make` is given a path that does not exist and leaves a file or a folder there; it is moved into place whole. A lock
    has two processes that want the same thing make it once.
    """
    found = cache_folder() / "made" / name
    found.parent.mkdir(parents=True, exist_ok=True)
    with (found.parent / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            clear(found.parent, f".{name}.folder-")
            fresh = Path(tempfile.mkdtemp(dir=found.parent, prefix=f".{name}.folder-"))
            try:
                make(fresh / "made")
                (fresh / "made").rename(found)
            finally:
                shutil.rmtree(fresh)
    return found


def clear(folder: Path, prefix: str) -> None:
    """Delete the folders that a killed process left; whoever calls this holds the lock that their maker held."""
    for left in folder.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
