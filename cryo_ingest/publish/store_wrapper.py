"""A base class for object stores that wrap another one and send each operation through one method."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from cryo_ingest.model import StorageRef
    from cryo_ingest.ports import ObjectStore, StoredObject

T = TypeVar("T")


class StoreWrapper:
    """Another store's operations, each called in `_run`; see `ports.ObjectStore`."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    async def _run(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Call an operation; a subclass adds what happens before and after."""
        raise NotImplementedError

    @property
    def keeps_metadata(self) -> bool:
        """Whether user metadata of a PUT can be read back."""
        return self.store.keeps_metadata

    def reference(self, prefix: str) -> StorageRef:
        """Return the reference to `prefix`; sends no request."""
        return self.store.reference(prefix)

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List objects."""
        return await self._run(lambda: self.store.list(prefix))

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Read an object's first bytes."""
        return await self._run(lambda: self.store.read(key, max_bytes=max_bytes))

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Read an object's last bytes."""
        return await self._run(lambda: self.store.read_tail(stored, max_bytes=max_bytes))

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Download to a new file, from its start in each try."""

        async def download() -> Mapping[str, str] | None:
            into.unlink(missing_ok=True)  # noqa: ASYNC240 - one entry of a local directory
            return await self.store.download(stored, into)

        return await self._run(download)

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Compare a listed object with local bytes; sends no request."""
        return await self.store.matches(stored, body)

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Create an object."""
        await self._run(lambda: self.store.create(key, body, metadata=metadata))

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Replace an object."""
        await self._run(lambda: self.store.replace(key, body, metadata=metadata, etag=etag))

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects."""
        names = list(keys)
        await self._run(lambda: self.store.delete(names))

    async def check_refuses_overwrite(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Check the store's conditions."""
        await self._run(lambda: self.store.check_refuses_overwrite(key, body, metadata=metadata))
