"""An object store that starts no request unless the lease is held (LSE-3). What the requests are is `publish`'s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cryo_ingest.model import StorageRef
    from cryo_ingest.ports import ObjectStore, StoredObject
    from cryo_ingest.serve.lease import Lease


@dataclass(frozen=True, slots=True)
class GuardedStore:
    """Another store's operations, each refused with `LeaseLost` once the lease is lost; see `ports.ObjectStore`."""

    store: ObjectStore
    lease: Lease

    @property
    def keeps_metadata(self) -> bool:
        """Whether user metadata of a PUT can be read back."""
        return self.store.keeps_metadata

    def reference(self, prefix: str) -> StorageRef:
        """Return how the publication names `prefix`; nothing is asked of the store."""
        return self.store.reference(prefix)

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List under the lease."""
        self.lease.require()
        return await self.store.list(prefix)

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Read under the lease."""
        self.lease.require()
        return await self.store.read(key, max_bytes=max_bytes)

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Read the end under the lease."""
        self.lease.require()
        return await self.store.read_tail(stored, max_bytes=max_bytes)

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Download under the lease."""
        self.lease.require()
        return await self.store.download(stored, into)

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Create under the lease."""
        self.lease.require()
        await self.store.create(key, body, metadata=metadata)

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Replace under the lease."""
        self.lease.require()
        await self.store.replace(key, body, metadata=metadata, etag=etag)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete under the lease."""
        self.lease.require()
        await self.store.delete(keys)
