"""A local directory behind the `ObjectStore` port: the same keys as files, create-only and replace-if-unchanged.

Writes go to a hidden file at the root first and are linked or renamed into place, so nobody reads half a file. A
lock on the root makes check and rename one step between processes. It keeps no user metadata (LAY-8).
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
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from cryo_ingest.errors import IngestError, StoreDenied, StoreUnavailable, StoreUnfit
from cryo_ingest.model import StorageRef
from cryo_ingest.ports import AlreadyStored, Changed, StoredObject
from cryo_ingest.publish.local import FULL, disk_full, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")

PARTIAL = ".cryo_ingest-"
"""How the names of unfinished writes begin: hidden files at the root, outside every prefix of the layout."""


class DirectoryStore:
    """The files below one directory; see `ports.ObjectStore`."""

    keeps_metadata = False

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.normpath(root))

    def reference(self, prefix: str) -> StorageRef:
        """Name a prefix by its absolute path (PUB-2)."""
        return StorageRef("file", None, f"{self.root}/{prefix}")

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List the files below a prefix."""
        return await self._asked("list", prefix, lambda: dict(self._walk(prefix)))

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return a file's first bytes."""

        def read() -> bytes:
            with self._path(key).open("rb") as file:
                return file.read(max_bytes)

        return await self._asked("get", key, lambda: _or_none(read))

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return a file's last bytes."""

        def read() -> bytes:
            with self._path(stored.key).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - max_bytes))
                return file.read()

        return await self._asked("get", stored.key, lambda: _or_none(read))

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Copy a file; there is never any metadata."""
        with into.open("xb") as target:

            def copy() -> dict[str, str]:
                with self._path(stored.key).open("rb") as source:
                    if _etag(os.fstat(source.fileno())) != stored.etag:
                        raise Changed
                    _copy_to_disk(source, target, into, stored.size_bytes)
                return {}

            return await self._asked("get", stored.key, lambda: _or_none(copy))

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Compare sizes: what was written was synced before it got its name."""
        return stored.size_bytes == size_of(body)

    async def ensure_create_only(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Do nothing: `os.link` never overwrites."""

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Link a finished file into place, which fails where something is there."""
        del metadata

        def create() -> None:
            with self._written(body) as partial, self._locked(), self._made_parent(key) as path:
                try:
                    os.link(partial, path)
                except FileExistsError:
                    raise AlreadyStored from None

        await self._asked("put", key, create)

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Rename a finished file into place if the one that is there is still the one that `etag` names."""
        del metadata

        def replace() -> None:
            with self._written(body) as partial, self._locked(), self._made_parent(key) as path:
                try:
                    there = path.lstat()
                except FileNotFoundError:
                    raise Changed from None
                if stat.S_ISDIR(there.st_mode) or _etag(there) != etag:
                    raise Changed
                partial.rename(path)

        await self._asked("put", key, replace)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete files, and the directories that this leaves empty."""

        def delete() -> None:
            with self._locked():
                for key in keys:
                    path = self._path(key)
                    with suppress(NotADirectoryError):
                        path.unlink(missing_ok=True)
                    with suppress(OSError):
                        for parent in path.relative_to(self.root).parents[:-1]:
                            (self.root / parent).rmdir()

        await self._asked("delete", "files", delete)

    def _path(self, key: str) -> Path:
        path = Path(os.path.normpath(self.root / key))
        if not path.is_relative_to(self.root):
            raise PermissionError(errno.EACCES, "the key leads out of the store")
        return path

    def _walk(self, prefix: str) -> Iterator[tuple[str, StoredObject]]:
        """Find all but directories: a symbolic link is a thing that readers meet, so it is listed, as itself."""
        for folder, folders, names in os.walk(self._path(prefix), onerror=_unless_gone):
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            for name in (*names, *links):
                path = Path(folder) / name
                with suppress(FileNotFoundError):
                    seen = path.lstat()
                    key = str(path.relative_to(self.root))
                    yield key, StoredObject(key, seen.st_size, _etag(seen))

    @contextmanager
    def _written(self, body: Path | bytes) -> Iterator[Path]:
        """Yield a finished, synced file in a hidden place; what is left of it afterwards is deleted."""
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

    @contextmanager
    def _made_parent(self, key: str) -> Iterator[Path]:
        """Yield a key's path, its directories made; sync what leads to it afterwards.

        Asked for under the lock alone, so that no delete takes a new directory for an empty one that it may remove.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        for parent in path.relative_to(self.root).parents:
            _sync_directory(self.root / parent)

    def _fresh_partial(self) -> tuple[int, Path]:
        """Return a new hidden file, locked, so that nobody takes it for a dead writer's."""
        while True:
            descriptor, name = tempfile.mkstemp(prefix=PARTIAL, dir=self.root)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 1:
                return descriptor, Path(name)
            os.close(descriptor)  # swept by another writer before it was locked

    def _sweep_partials(self) -> None:
        """Delete unfinished writes of processes that died: those whose lock nobody holds."""
        for partial in self.root.glob(f"{PARTIAL}*"):
            with suppress(OSError), partial.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink()  # also one that was linked into place: the key keeps its own name

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the root's lock: what changes names below it does so one at a time, between processes too."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    async def _asked(self, operation: str, key: str, action: Callable[[], T]) -> T:
        """Run a blocking action in a thread and turn its fault into one of ours."""
        try:
            return await asyncio.to_thread(action)
        except OSError as error:
            raise _fault(error, operation=operation, key=key, root=self.root) from None


def _or_none(action: Callable[[], T]) -> T | None:
    try:
        return action()
    except FileNotFoundError:
        return None


def _etag(seen: os.stat_result) -> str:
    """Name a file's content: every write makes a new inode, so inode, size and time of change tell contents apart."""
    return f"{seen.st_ino}-{seen.st_size}-{seen.st_mtime_ns}"


def _unless_gone(error: OSError) -> None:
    """Let a listing fail where a directory can't be read: what it hides is not nothing."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _copy_to_disk(source: BinaryIO, target: BinaryIO, into: Path, needed_bytes: int) -> None:
    """Copy to the local disk, which is another one than the store's: a full one is told by its own path."""
    try:
        shutil.copyfileobj(source, target)
        target.flush()
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise disk_full(into, needed_bytes) from None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fault(error: OSError, *, operation: str, key: str, root: Path) -> IngestError:
    reason = f"{error.strerror or 'the file system failed'} (below {root})"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP}:
        return StoreDenied(operation=operation, key=key, reason=reason)
    if error.errno in {errno.EOPNOTSUPP, errno.ENOSYS}:
        return StoreUnfit(operation=f"{operation} below {root}", reason="its file system has no hard links or locks")
    return StoreUnavailable(operation=operation, key=key, reason=reason)
