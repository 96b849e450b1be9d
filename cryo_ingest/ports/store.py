"""The interface of an object store, with conditional writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryo_ingest.model import StorageRef


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a listing or a read shows it; `etag` identifies its content in a conditional PUT."""

    key: str
    size_bytes: int
    etag: str


class AlreadyStored(Exception):
    """A create found an object under the key. This attempt may have stored it, with a PUT whose response was lost."""


class Changed(Exception):
    """A replace found an object with another ETag, or no object."""


class ObjectStore(Protocol):
    """A flat space of keys with conditional writes. Any method may raise StoreUnavailable, StoreDenied, NoSuchBucket.

    A PUT is atomic: no reader sees an incomplete object. Only `list` shows whether a key exists, not a failed read:
    without the permission to list, S3 answers 403 for a missing key.
    """

    @property
    def keeps_metadata(self) -> bool:
        """Whether user metadata of a PUT can be read back."""
        ...

    def reference(self, prefix: str) -> StorageRef:
        """Return the publication's reference to `prefix` in this store."""
        ...

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List all objects below `prefix`, by key. Strongly consistent: it shows all completed writes."""
        ...

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return the first `max_bytes` bytes of an object, None if it is gone."""
        ...

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return at most the last `max_bytes` bytes of a listed object, None if it is gone."""
        ...

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Write a listed object's content to a new local file and return its user metadata, None if it is gone.

        Raises:
            Changed: the object does not have the ETag `stored.etag` any more.
            DiskFull: the local disk has no room for it.
        """
        ...

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Return whether a listed object has exactly these bytes; None if this store's listings don't show it."""
        ...

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Store `body` under a key that has no object.

        Raises:
            AlreadyStored: the key has an object.
            StoreUnfit: the store has no conditional writes.
        """
        ...

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Replace the object that has the ETag `etag` with `body`.

        Raises:
            Changed: the object under the key has another ETag, or there is none.
            StoreUnfit: the store has no conditional writes.
        """
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a missing key is not an error."""
        ...

    async def check_refuses_overwrite(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Check, once per process, that the store refuses to overwrite an object in `create`.

        The key already has an object with these bytes and metadata, so nothing changes if the store ignores the
        condition.

        Raises:
            StoreUnfit: the store ignores it.
        """
        ...
