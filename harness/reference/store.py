"""What an attempt asks of a store: whole objects in memory, nothing cached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.reference.bugs import bug


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as it is stored."""

    body: bytes
    etag: str
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a listing."""

    etag: str
    size_bytes: int


class Store(Protocol):
    """What the two stores have in common; every call asks the guard first.

    Each raises Retryable where the store fails, Fatal where it denies, and Conflict where a condition is not met.
    """

    def entries(self, prefix: str) -> dict[str, Entry]:
        """List every key below a prefix."""
        ...

    def get(self, key: str) -> Stored | None:
        """Return an object; None if it is gone."""
        ...

    def create(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        """Store an object where there is none."""
        ...

    def replace(self, key: str, body: bytes, metadata: dict[str, str], etag: str) -> None:
        """Store an object in place of the one with this ETag."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object, there or not."""
        ...

    def reference(self, prefix: str) -> dict[str, str]:
        """Return the storage reference of PUB-2."""
        ...


def glob() -> str:
    """Return the glob by which readers find the files."""
    return "*" if bug("glob-of-everything") else "*.parquet"
