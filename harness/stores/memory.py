"""An object store in memory, for in-process targets: it satisfies a worker's store port structurally, not by its types.

It reports an object that exists already, or has changed, by the worker's own exceptions, whose classes are arguments.
Every operation is in its journal, and a scripted fault applies before or after the effect of the operation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.faults import Occurrence, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Operation = Literal["list", "get", "create", "replace", "delete"]


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a prefix lies, as a publication names it."""

    scheme: str
    bucket: str | None
    prefix: str
    glob: str = "*.parquet"


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """One object as a listing shows it."""

    key: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Content:
    """A stored object; `etag` changes with every write."""

    body: bytes
    metadata: Mapping[str, str]
    etag: str


@dataclass(frozen=True)
class MemoryFault(Occurrence):
    """Raises `error`, one of the worker's own exceptions, at operations whose kind and key match.

    With `when` = after the operation has its effect first, and only its answer is lost.
    """

    operation: Operation
    key: str
    when: Literal["before", "after"]
    error: Exception

    def matches(self, operation: Operation, key: str) -> bool:
        """Return whether an operation matches; `key` is a pattern that is searched for."""
        return operation == self.operation and re.search(self.key, key) is not None


@dataclass
class MemoryStore:
    """A bucket in memory. `before` lets a test act, as another writer would, just before any operation."""

    already_stored: type[Exception]
    changed: type[Exception]
    faults: tuple[MemoryFault, ...] = ()
    before: Callable[[Operation, str], None] = lambda _operation, _key: None
    bucket: str = "memory"
    keeps_metadata: bool = True
    objects: dict[str, Content] = field(default_factory=dict)
    journal: list[tuple[Operation, str]] = field(default_factory=list)
    _fault: MemoryFault | None = None
    _writes: int = 0

    def __post_init__(self) -> None:
        self._script = Script(self.faults)

    @property
    def fired(self) -> list[MemoryFault]:
        """The faults that have applied at least once."""
        return self._script.fired

    def hold(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Put an object there, as somebody else would; it is not in the journal."""
        self._writes += 1
        kept = dict(metadata or {}) if self.keeps_metadata else {}
        self.objects[key] = Content(body, kept, f'"{self._writes}"')

    def contents(self) -> dict[str, bytes]:
        """Return what every key holds."""
        return {key: content.body for key, content in self.objects.items()}

    def did(self, operation: Operation) -> list[str]:
        """Return the keys of one kind of operation, in order."""
        return [key for name, key in self.journal if name == operation]

    def reference(self, prefix: str) -> Reference:
        """Name a prefix."""
        return Reference("s3", self.bucket, prefix)

    async def list(self, prefix: str) -> dict[str, StoredBytes]:
        """List what lies below a prefix."""
        self._begin("list", prefix)
        found = {key: content for key, content in self.objects.items() if key.startswith(prefix)}
        self._end()
        return {key: StoredBytes(key, len(content.body), content.etag) for key, content in sorted(found.items())}

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return first bytes."""
        content = self._get(key)
        return None if content is None else content.body[:max_bytes]

    async def read_tail(self, stored: StoredBytes, *, max_bytes: int) -> bytes | None:
        """Return last bytes."""
        content = self._get(stored.key)
        return None if content is None else content.body[-max_bytes:]

    async def download(self, stored: StoredBytes, into: Path) -> Mapping[str, str] | None:
        """Write to a new file the content that was listed."""
        content = self._get(stored.key)
        if content is None:
            return None
        if content.etag != stored.etag:
            raise self.changed
        with into.open("xb") as file:
            file.write(content.body)
        return dict(content.metadata)

    async def matches(self, stored: StoredBytes, body: Path | bytes) -> bool | None:
        """Compare contents."""
        content = self.objects.get(stored.key)
        return content is not None and content.etag == stored.etag and content.body == _bytes(body)

    async def check_refuses_overwrite(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Do nothing: this store obeys its conditions."""

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Store under a key that holds nothing."""
        self._begin("create", key)
        if key in self.objects:
            self._end()
            raise self.already_stored
        self.hold(key, _bytes(body), metadata)
        self._end()

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Store in place of the content that `etag` names."""
        self._begin("replace", key)
        if key not in self.objects or self.objects[key].etag != etag:
            self._end()
            raise self.changed
        self.hold(key, _bytes(body), metadata)
        self._end()

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects."""
        for key in keys:
            self._begin("delete", key)
            self.objects.pop(key, None)
            self._end()

    def _get(self, key: str) -> Content | None:
        self._begin("get", key)
        content = self.objects.get(key)
        self._end()
        return content

    def _begin(self, operation: Operation, key: str) -> None:
        self.before(operation, key)
        self.journal.append((operation, key))
        self._fault = self._script.fire_first(lambda fault: fault.matches(operation, key))
        self._raise_if("before")

    def _end(self) -> None:
        self._raise_if("after")

    def _raise_if(self, when: Literal["before", "after"]) -> None:
        if self._fault is not None and self._fault.when == when:
            raise self._fault.error


def _bytes(body: Path | bytes) -> bytes:
    return body.read_bytes() if isinstance(body, Path) else body
