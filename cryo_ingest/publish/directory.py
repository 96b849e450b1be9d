"""The `ObjectStore` port on a local directory: keys are paths of files, with create-only and replace-if-unchanged.

A write goes to a hidden file at the root, which is then linked or renamed to its key, so no reader sees an incomplete
file. A lock on the root makes check and rename atomic between processes. `directory_metadata` says where user metadata
are.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cryo_ingest.errors import IngestError, StoreDenied, StoreUnavailable
from cryo_ingest.model import StorageRef
from cryo_ingest.ports import AlreadyStored, Changed, StoredObject
from cryo_ingest.publish.directory_metadata import FOLDER, metadata_key, read_metadata, to_bytes
from cryo_ingest.publish.local import size_of, writing_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")

PARTIAL = ".cryo_ingest-"
"""Prefix of unfinished writes: hidden files at the root, outside all version prefixes."""


UNUSABLE = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.EEXIST),
        *(errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV),
    }
)
"""File system errors that another attempt would get too."""


class DirectoryStore:
    """The files below one directory; see `ports.ObjectStore`."""

    keeps_metadata = True

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.normpath(root))

    def check_writable(self) -> None:
        """Create the root, and check that it takes files, hard links and locks; nothing else is left in it.

        Raises:
            StoreDenied: it does not.
            StoreUnavailable: the file system failed otherwise, for example because it is full.
        """
        try:
            with self._partial_file(b"") as partial, self._locked():
                link = partial.with_name(f"{partial.name}.link")
                os.link(partial, link)
                link.unlink()
        except FileNotFoundError as error:  # below /proc, which has no new directories
            raise _mapped_error(
                OSError(errno.EPERM, error.strerror), operation="mkdir", key=str(self.root), root=self.root
            ) from None
        except OSError as error:
            raise _mapped_error(error, operation="a test write", key=str(self.root), root=self.root) from None

    def reference(self, prefix: str) -> StorageRef:
        """Return the reference to a prefix, with its absolute path (PUB-2)."""
        return StorageRef("file", None, f"{self.root}/{prefix}")

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List the files below a prefix."""
        return await self._run("list", prefix, lambda: dict(self._walk(prefix)))

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return a file's first bytes."""

        def read() -> bytes:
            with self._path(key).open("rb") as file:
                return file.read(max_bytes)

        return await self._run("get", key, lambda: _or_none(read))

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return a file's last bytes."""

        def read() -> bytes:
            with self._path(stored.key).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - max_bytes))
                return file.read()

        return await self._run("get", stored.key, lambda: _or_none(read))

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Copy a file and return its metadata."""
        with into.open("xb") as target:

            def copy() -> dict[str, str]:
                with self._path(stored.key).open("rb") as source:
                    if _etag(os.fstat(source.fileno())) != stored.etag:
                        raise Changed
                    with writing_copy(into, stored.size_bytes):
                        shutil.copyfileobj(source, target)
                        target.flush()
                return read_metadata(self.root, stored.key)

            return await self._run("get", stored.key, lambda: _or_none(copy))

    async def metadata(self, stored: StoredObject) -> Mapping[str, str] | None:
        """Return a file's metadata."""

        def read() -> dict[str, str] | None:
            return read_metadata(self.root, stored.key) if self._path(stored.key).exists() else None

        return await self._run("get", stored.key, read)

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Compare sizes, which suffices: a file is synced before it gets its name."""
        return stored.size_bytes == size_of(body)

    async def check_refuses_overwrite(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Do nothing: `os.link` never overwrites."""

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Link a finished file to the key, which fails if the key exists."""

        def create() -> None:
            with self._partial_file(body) as partial, self._locked(), self._created_parent(key) as path:
                if not os.path.lexists(path):
                    self._record(key, metadata)
                try:
                    os.link(partial, path)
                except FileExistsError:
                    raise AlreadyStored from None

        await self._run("put", key, create)

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Rename a finished file to the key if the key still has the file that `etag` names."""

        def replace() -> None:
            with self._partial_file(body) as partial, self._locked(), self._created_parent(key) as path:
                try:
                    found = path.lstat()
                except FileNotFoundError:
                    raise Changed from None
                if stat.S_ISDIR(found.st_mode) or _etag(found) != etag:
                    raise Changed
                self._record(key, metadata)
                partial.rename(path)

        await self._run("put", key, replace)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete files, and the directories that are empty afterwards."""

        def delete() -> None:
            with self._locked():
                for key in keys:
                    for path in (self._path(key), self._path(metadata_key(key))):
                        with suppress(NotADirectoryError):
                            path.unlink(missing_ok=True)
                        with suppress(OSError):
                            for parent in path.relative_to(self.root).parents[:-1]:
                                (self.root / parent).rmdir()

        await self._run("delete", "files", delete)

    def _path(self, key: str) -> Path:
        path = Path(os.path.normpath(self.root / key))
        if not path.is_relative_to(self.root):
            raise PermissionError(errno.EACCES, "the key is outside the store")
        return path

    def _walk(self, prefix: str) -> Iterator[tuple[str, StoredObject]]:
        """Yield all but directories; a symbolic link is listed as itself, since readers find it.

        A dataset can have hundreds of thousands of files, so this works on the system's own entries and strings.
        """
        below_root = len(str(self.root).rstrip("/")) + 1
        hidden = str(self.root / FOLDER)
        folders = [str(self._path(prefix))]
        while folders:
            for entry in _entries(folders.pop()):
                if entry.is_dir(follow_symlinks=False):
                    if entry.path != hidden:
                        folders.append(entry.path)
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    key = entry.path[below_root:]
                    yield key, StoredObject(key, status.st_size, _etag(status))

    @contextmanager
    def _partial_file(self, body: Path | bytes) -> Iterator[Path]:
        """Yield a finished, synced hidden file, which is deleted at the end."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._sweep_partials()
        descriptor, partial = self._fresh_partial()
        try:
            with open(descriptor, "wb", closefd=False) as file:
                if isinstance(body, bytes):
                    file.write(body)
                else:
                    with body.open("rb") as source:
                        shutil.copyfileobj(source, file)
                os.fchmod(file.fileno(), 0o644)
                file.flush()
                os.fsync(file.fileno())
            yield partial
        finally:
            partial.unlink(missing_ok=True)
            os.close(descriptor)

    def _record(self, key: str, metadata: Mapping[str, str]) -> None:
        """Write a key's metadata, or delete those of an earlier file; only used under the lock."""
        if not metadata:
            self._path(metadata_key(key)).unlink(missing_ok=True)
            return
        with self._partial_file(to_bytes(metadata)) as partial, self._created_parent(metadata_key(key)) as path:
            partial.rename(path)

    @contextmanager
    def _created_parent(self, key: str) -> Iterator[Path]:
        """Create the directories of a key and yield its path; sync the directories at the end.

        Only used under the lock, so that no delete removes a new directory as an empty one.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        for parent in path.relative_to(self.root).parents:
            _sync_directory(self.root / parent)

    def _fresh_partial(self) -> tuple[int, Path]:
        """Return a new hidden file, locked, so that no other writer deletes it as a dead process's file."""
        while True:
            descriptor, name = tempfile.mkstemp(prefix=PARTIAL, dir=self.root)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 1:
                return descriptor, Path(name)
            os.close(descriptor)  # another writer deleted it before it was locked

    def _sweep_partials(self) -> None:
        """Delete unfinished writes of dead processes, which are not locked."""
        for partial in self.root.glob(f"{PARTIAL}*"):
            with suppress(OSError), partial.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink()  # a file that was linked to its key keeps that name

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the root's lock: only one process at a time changes names below it."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    async def _run(self, operation: str, key: str, action: Callable[[], T]) -> T:
        """Run a blocking action in a thread and map its errors to those of `cryo_ingest.errors`."""
        try:
            return await asyncio.to_thread(action)
        except OSError as error:
            raise _mapped_error(error, operation=operation, key=key, root=self.root) from None


def _or_none(action: Callable[[], T]) -> T | None:
    try:
        return action()
    except FileNotFoundError:
        return None


def _etag(status: os.stat_result) -> str:
    """Identify a file's content by inode, size and time of change: every write makes a new inode."""
    return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return a directory's entries, none if it is gone; fail if it can't be read, since it may have files."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mapped_error(error: OSError, *, operation: str, key: str, root: Path) -> IngestError:
    reason = error.strerror or "the file system failed"
    if error.errno in UNUSABLE:
        return StoreDenied(operation=operation, key=key, reason=reason, directory=root)
    return StoreUnavailable(operation=operation, key=key, reason=f"{reason} (below {root})")
