"""The store as an attempt uses it: whole objects in memory, without a cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.reference.bugs import has_bug


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored object."""

    body: bytes
    etag: str
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a listing."""

    etag: str
    size_bytes: int


class Store(Protocol):
    """The interface of both stores; every call checks the cancellation first.

    Each raises Retryable if the store fails, Fatal if it denies access, and Conflict if a condition is not met.
    """

    def entries(self, prefix: str) -> dict[str, Entry]:
        """List every key below a prefix."""
        ...

    def get(self, key: str) -> Stored | None:
        """Return an object, or None if it does not exist."""
        ...

    def create(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        """Store an object that does not exist yet."""
        ...

    def replace(self, key: str, body: bytes, metadata: dict[str, str], etag: str) -> None:
        """Replace the object that has this ETag."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object, if it exists."""
        ...

    def reference(self, prefix: str) -> dict[str, str]:
        """Return the storage reference of PUB-2."""
        ...


def glob() -> str:
    """Return the glob with which readers find the files."""
    return "*" if has_bug("glob-of-everything") else "*.parquet"
