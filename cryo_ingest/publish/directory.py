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
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cryo_ingest.errors import DiskFull, IngestError, StoreDenied, StoreUnavailable
from cryo_ingest.model import StorageRef
from cryo_ingest.ports import AlreadyStored, Changed, StoredObject

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

    async def download(self, key: str, into: Path) -> Mapping[str, str] | None:
        """Copy a file; there is never any metadata."""

        def copy() -> dict[str, str]:
            with self._path(key).open("rb") as source, into.open("xb") as target:
                shutil.copyfileobj(source, target)
            return {}

        return await self._asked("get", key, lambda: _or_none(copy))

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Link a finished file into place, which fails where something is there."""
        del metadata

        def create() -> None:
            with self._written(body, key) as partial:
                try:
                    os.link(partial, self._path(key))
                except FileExistsError:
                    raise AlreadyStored from None

        await self._asked("put", key, create)

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Rename a finished file into place if the one that is there is still the one that `etag` names."""
        del metadata

        def replace() -> None:
            path = self._path(key)
            with self._written(body, key) as partial, self._locked():
                if not path.is_file() or _etag(path.stat()) != etag:
                    raise Changed
                partial.rename(path)

        await self._asked("put", key, replace)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete files, and the directories that this leaves empty."""

        def delete() -> None:
            for key in keys:
                path = self._path(key)
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
        for folder, _, names in os.walk(self._path(prefix)):
            for name in names:
                path = Path(folder) / name
                with suppress(FileNotFoundError):
                    seen = path.stat()
                    key = str(path.relative_to(self.root))
                    yield key, StoredObject(key, seen.st_size, _etag(seen))

    @contextmanager
    def _written(self, body: Path | bytes, key: str) -> Iterator[Path]:
        """Yield a finished, synced file in a hidden place; what is left of it afterwards is deleted."""
        self._path(key).parent.mkdir(parents=True, exist_ok=True)
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
            _sync_directory(self._path(key).parent)
        finally:
            partial.unlink(missing_ok=True)
            os.close(descriptor)

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
                if os.fstat(file.fileno()).st_nlink == 1:
                    partial.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
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


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fault(error: OSError, *, operation: str, key: str, root: Path) -> IngestError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(path=root, free_bytes=0, needed_bytes=1)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP}:
        return StoreDenied(operation=operation, key=key, reason=f"{error.strerror} below {root}")
    return StoreUnavailable(operation=operation, key=key, reason=error.strerror or "the file system failed")
