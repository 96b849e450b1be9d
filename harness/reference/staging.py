"""The private directory of an attempt (STG): created, locked, emptied, deleted; and the sweep after dead attempts.

The lock is an flock on the directory of the attempt. Cryo inherits its descriptor, so that a Cryo process which
survives its worker still has the lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.reference.bugs import has_bug
from harness.reference.errors import Fatal, Retryable
from harness.reference.payload import UUID

if TYPE_CHECKING:
    from harness.reference.log import Log

MODE = 0o755 if has_bug("staging-is-open") else 0o700
LEAST_FREE_BYTES = 64 * 1024**2
SECONDS_PER_HOUR = 3600


class Staging:
    """The directory of one attempt; `descriptor` has the lock, and Cryo inherits it."""

    def __init__(self, root: Path, task_id: str, attempt: int) -> None:
        self.path = root / task_id / str(attempt)
        if has_bug("stages-elsewhere"):
            self.path = root / f"{task_id}-{attempt}"
        self._root = root
        self.descriptor: int | None = None

    def open(self) -> None:
        """Create the directory, lock it and empty it.

        Raises:
            Fatal: a part of its path is a link, not a directory, or owned by another user (STG-6).
            Retryable: a live attempt or its Cryo has the lock (STG-5), or the disk is full (STG-7).
        """
        try:
            _create_root(self._root)
            if has_bug("touches-behind-links") and self.path.parent.is_symlink():
                os.utime(self.path.parent)
            for part in reversed([self.path, *self.path.parents[: len(self.path.relative_to(self._root).parts) - 1]]):
                _create(part)
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            error_class = Retryable if error.errno in {errno.ENOSPC, errno.EDQUOT} else Fatal
            raise error_class(f"the staging directory can't be created: {error.strerror}") from None
        if not lock(self.descriptor):
            self._close()
            raise Retryable(
                f"the staging directory is locked by a live attempt, or by the Cryo of a dead one: {self.path}"
            )
        if not has_bug("staging-is-not-emptied"):
            _empty(self.path)
        free = shutil.disk_usage(self.path).free
        if free < LEAST_FREE_BYTES:
            error_class = Fatal if has_bug("full-disk-is-fatal") else Retryable
            raise error_class(f"the staging disk has only {free} bytes free; {LEAST_FREE_BYTES} are needed")

    def remove(self, *, failed: bool) -> None:
        """Delete the directory; the sweep deletes later what can't be deleted now."""
        if self.descriptor is None:
            return
        if not has_bug("failed-staging-stays" if failed else "staging-stays"):
            shutil.rmtree(self.path, ignore_errors=True)
            _remove_if_empty(self.path.parent)
        self._close()

    def _close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def lock(descriptor: int) -> bool:
    """Take the lock without waiting, and return whether it was free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return has_bug("ignores-the-staging-lock")
        raise
    return True


def sweep(root: Path, ttl_hours: float, log: Log) -> None:
    """Delete the attempt directories that are older than the TTL and not locked (STG-4, STG-5)."""
    if has_bug("never-sweeps"):
        return
    if not root.is_dir() or root.is_symlink():
        return
    oldest = time.time() - (0 if has_bug("sweeps-the-young") else ttl_hours) * SECONDS_PER_HOUR
    for task in sorted(root.iterdir()):
        if not _is_own_directory(task) or not UUID.fullmatch(task.name):
            continue
        for attempt in sorted(task.iterdir()):
            if _is_own_directory(attempt) and attempt.name.isdecimal() and attempt.lstat().st_mtime < oldest:
                _sweep_attempt(attempt, log)
        _remove_if_empty(task)


def _sweep_attempt(attempt: Path, log: Log) -> None:
    try:
        descriptor = os.open(attempt, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if lock(descriptor):
            shutil.rmtree(attempt, ignore_errors=True)
            log.write("staging.swept", path=str(attempt))
    finally:
        os.close(descriptor)


def _is_own_directory(path: Path) -> bool:
    """Return whether a path is a directory, not a link, and owned by this user."""
    if has_bug("follows-staging-links"):
        return path.is_dir()
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _create_root(root: Path) -> None:
    # The root may be a mounted volume that belongs to the user root.
    if not os.path.lexists(root):
        if not root.parent.is_dir():
            _create_root(root.parent)
        _create(root)
        return
    status = root.lstat()
    if has_bug("follows-staging-links") and root.is_dir():
        return
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {os.geteuid(), 0}:
        raise Fatal(
            f"the staging root {root} is a link, not a directory, or of another user: set TRACE_CRYO_STAGING_ROOT"
        )


def _create(path: Path) -> None:
    try:
        path.mkdir(mode=MODE)
        path.chmod(MODE)
    except FileExistsError:
        if not _is_own_directory(path):
            raise Fatal(f"the staging path {path} is a link, not a directory, or of another user: remove it") from None


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _remove_if_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:
        return
