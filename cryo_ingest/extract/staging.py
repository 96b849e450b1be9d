"""Private directories on local disk, one for each attempt: locked, deleted when old, never opened through a link.

The lock is `flock` on the directory itself. Cryo inherits its descriptor, so the directory stays locked if Cryo
outlives its worker (STG-5). Everything below the root is opened by descriptor, without following links (STG-6).
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
import shutil
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_ingest.errors import DiskFull, MachineFailed, StagingLocked, UnsafeStaging
from cryo_ingest.logs import log
from cryo_ingest.model import UUID_PATTERN
from cryo_ingest.ports import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryo_ingest.ports import Clock

PRIVATE = 0o700
OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

TRANSIENT_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ENOLCK}
"""Errors that are not caused by the path and may be gone at the next attempt (OUT-4)."""

ATTEMPT_PATTERN = r"[0-9]+"

MINIMUM_FREE_BYTES = 64 * 1024**2
"""With less free space the disk is treated as full: one chunk of a busy chain's widest dataset would not fit."""


@dataclass(slots=True)
class DirectoryStaging:
    """Attempt directories `<root>/<task_id>/<attempt>/` (STG-1)."""

    root: Path
    ttl_hours: float
    clock: Clock
    minimum_free_bytes: int = MINIMUM_FREE_BYTES
    _locks: dict[tuple[str, int], int] = field(default_factory=dict)

    async def acquire(self, task_id: str, attempt: int) -> Workspace:
        """Lock and empty the attempt's directory; see `ports.Staging`."""
        acquiring = asyncio.ensure_future(asyncio.to_thread(self._acquire, task_id, attempt))
        try:
            return await asyncio.shield(acquiring)
        except asyncio.CancelledError:
            # The thread continues: without waiting for it, `discard` would miss the lock that it may still acquire.
            await asyncio.wait([acquiring])
            raise

    async def discard(self, task_id: str, attempt: int) -> None:
        """Delete the attempt's directory, if this process holds its lock, and release the lock."""
        lock = self._locks.pop((task_id, attempt), None)
        if lock is not None:
            await asyncio.to_thread(self._discard, task_id, attempt, lock)

    async def sweep(self) -> int:
        """Delete unlocked attempt directories that are older than the TTL (STG-4)."""
        return await asyncio.to_thread(self._sweep)

    def _acquire(self, task_id: str, attempt: int) -> Workspace:
        directory = self.root / task_id / str(attempt)
        if (task_id, attempt) in self._locks:
            raise StagingLocked(path=directory)
        try:
            lock = self._open_locked(task_id, str(attempt))
        except OSError as error:
            raise _mapped_error(error, directory, self.minimum_free_bytes) from None
        self._locks[task_id, attempt] = lock
        _empty(lock)
        free = os.fstatvfs(lock)
        if free.f_bavail * free.f_frsize < self.minimum_free_bytes:
            self._locks.pop((task_id, attempt))
            self._discard(task_id, attempt, lock)
            raise DiskFull(
                path=self.root, free_bytes=free.f_bavail * free.f_frsize, needed_bytes=self.minimum_free_bytes
            )
        return Workspace(directory, lock)

    def _open_locked(self, task_id: str, attempt: str) -> int:
        """Return a locked descriptor of the attempt's directory, creating missing directories of the path."""
        path = self.root / task_id / attempt
        root = _open_root(self.root)
        try:
            while True:
                with suppress(FileNotFoundError), _opened(root, task_id, path.parent) as task:
                    lock = _open_private(task, attempt, path)
                    if not _try_lock(lock):
                        os.close(lock)
                        raise StagingLocked(path=path)
                    if _is_current(lock, attempt, task):
                        return lock
                    os.close(lock)
                # A sweep, or the end of another attempt at this task, deleted one of the two directories meanwhile.
        finally:
            os.close(root)

    def _discard(self, task_id: str, attempt: int, lock: int) -> None:
        directory = self.root / task_id / str(attempt)
        try:
            _empty(lock)
            directory.rmdir()
            with suppress(OSError):
                directory.parent.rmdir()
        except OSError as error:
            # The outcome has been reported already; a later sweep deletes the rest.
            log.warning("staging.discard_failed", directory=str(directory), reason=error.strerror)
        finally:
            os.close(lock)

    def _sweep(self) -> int:
        if self.root.is_symlink():
            return 0
        oldest_kept = self.clock.time() - self.ttl_hours * 3600
        attempts = [
            path for task in _subdirectories(self.root, UUID_PATTERN) for path in _subdirectories(task, ATTEMPT_PATTERN)
        ]
        return sum(_delete_if_old(path, oldest_kept) for path in attempts)


def _open_root(root: Path) -> int:
    """Create the root if it is missing, check all components of its path, and open it."""
    for ancestor in [*reversed(root.parents), root]:
        with suppress(FileExistsError):
            ancestor.mkdir(PRIVATE)
        status = ancestor.lstat()
        if status.st_uid not in {os.geteuid(), 0}:
            raise UnsafeStaging(path=ancestor, reason="belongs to another user")
        if stat.S_ISLNK(status.st_mode) and (ancestor == root or status.st_uid != 0):
            raise UnsafeStaging(path=ancestor, reason="is a symbolic link")
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            raise UnsafeStaging(path=ancestor, reason="is not a directory")
    return os.open(root, OPEN_DIRECTORY)


def _open_private(parent: int, name: str, path: Path) -> int:
    """Open a directory that must belong to this user; create it with mode 0700 if it is missing (STG-2)."""
    with suppress(FileExistsError):
        os.mkdir(name, PRIVATE, dir_fd=parent)
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        raise UnsafeStaging(path=path, reason="is a symbolic link")
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeStaging(path=path, reason="is not a directory")
    descriptor = os.open(name, OPEN_DIRECTORY, dir_fd=parent)
    if os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise UnsafeStaging(path=path, reason="belongs to another user")
    os.fchmod(descriptor, PRIVATE)
    return descriptor


@contextmanager
def _opened(parent: int, name: str, path: Path) -> Iterator[int]:
    descriptor = _open_private(parent, name, path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(descriptor: int, name: str, parent: int) -> bool:
    """Return whether the opened directory still has this name."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(status, os.fstat(descriptor))


def _empty(directory: int) -> None:
    """Delete everything in a directory that we have locked; links are deleted, not followed."""
    for name in os.listdir(directory):
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)


def _subdirectories(directory: Path, pattern: str) -> list[Path]:
    """Return the subdirectories whose names match a pattern; none if the directory is being deleted.

    Only `<task's UUID>/<attempt>` may be deleted: the root can contain other directories, even a directory store with
    published versions.
    """
    try:
        with os.scandir(directory) as entries:
            found = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        log.warning("staging.sweep_failed", directory=str(directory), reason=error.strerror)
        return []
    return [path for path in map(Path, found) if re.fullmatch(pattern, path.name)]


def _delete_if_old(path: Path, oldest_kept: float) -> bool:
    """Delete an attempt's directory if it is old, belongs to this user and is not locked."""
    try:
        descriptor = os.open(path, OPEN_DIRECTORY)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if status.st_mtime >= oldest_kept or status.st_uid != os.geteuid() or not _try_lock(descriptor):
            return False
        _empty(descriptor)
        path.rmdir()
        log.info("staging.swept", directory=str(path))
        with suppress(OSError):
            path.parent.rmdir()
    except OSError as error:
        log.warning("staging.sweep_failed", directory=str(path), reason=error.strerror)
        return False
    finally:
        os.close(descriptor)
    return True


def _mapped_error(error: OSError, path: Path, needed_bytes: int) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(path=path, free_bytes=0, needed_bytes=needed_bytes)
    if error.errno in TRANSIENT_ERRORS:
        return MachineFailed(reason=f"{error.strerror}, at the staging directory")
    return UnsafeStaging(path=path, reason=f"can't be used ({error.strerror})")
