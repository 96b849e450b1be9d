"""The simulated object store: S3's conditional writes and strong listing, with every request recorded."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from harness.history import HarnessAction, StoreRequest, StoreResponse
from harness.simulate.boundary import Boundary, Call
from harness.stores.memory import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.simulate.recorder import SimulatedRecorder

KINDS = {"list": "object_listed", "read": "object_read", "create": "object_put", "replace": "object_put"} | {
    "delete": "object_deleted"
}
COMPLETE = "complete "
"""The first part of the action in which another worker completes a version; the prefix follows."""
METHODS = {"list": "GET", "read": "GET", "create": "PUT", "replace": "PUT", "delete": "DELETE"}


T = TypeVar("T")


class Conflict(Exception):
    """A conditional write found another object: status 412."""


@dataclass(slots=True)
class Write:
    """A PUT: its body and user metadata, and the ETag that it replaces, None to create the object."""

    body: bytes
    metadata: Mapping[str, str]
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """A request as it is recorded; `put` has the fields of a PUT."""

    name: str
    key: str
    life: int
    put: Mapping[str, Any]


@dataclass(slots=True)
class SimulatedStore:
    """One bucket, which outlives the workers.

    `versions` has the objects of each complete version, by prefix and key: what another worker would have published.
    """

    boundary: Boundary
    recorder: SimulatedRecorder
    objects: dict[str, Content] = field(default_factory=dict)
    versions: dict[str, dict[str, Content]] = field(default_factory=dict)
    _writes: int = 0

    def preload(self, key: str, content: Content) -> None:
        """Store an object that no worker of the run has sent."""
        self._writes += 1
        self.objects[key] = Content(content.body, content.metadata, f'"{self._writes}"')

    def complete(self, key: str) -> None:
        """Complete the version of a key or prefix at once, as another worker would have done."""
        for prefix, version in self.versions.items():
            if not key.startswith(prefix):
                continue
            self.recorder.add(HarnessAction, action=f"{COMPLETE}{prefix}")
            for name, content in version.items():
                existing = self.objects.get(name)
                if existing is None or existing.body != content.body:
                    self.preload(name, content)

    async def list(self, prefix: str, *, life: int) -> dict[str, Content]:
        """Return the objects below a prefix, by key."""

        def effect() -> dict[str, Content]:
            return {key: self.objects[key] for key in sorted(self.objects) if key.startswith(prefix)}

        return await self._send(_Request("list", prefix, life, {}), effect)

    async def read(self, key: str, *, life: int) -> Content | None:
        """Return an object, None if there is none."""
        return await self._send(_Request("read", key, life, {}), lambda: self.objects.get(key))

    async def put(self, key: str, write: Write, *, life: int) -> None:
        """Create an object where there is none, or replace the one with an ETag.

        Raises:
            Conflict: there is one, or another one.
        """

        def effect() -> None:
            existing = self.objects.get(key)
            if (existing.etag if existing is not None else None) != write.replaces:
                raise Conflict(key)
            self._writes += 1
            self.objects[key] = Content(write.body, dict(write.metadata), f'"{self._writes}"')

        name = "create" if write.replaces is None else "replace"
        await self._send(_Request(name, key, life, _fields(write)), effect)

    async def delete(self, key: str, *, life: int) -> None:
        """Delete an object; a missing one is no error."""
        await self._send(_Request("delete", key, life, {}), lambda: self.objects.pop(key, None))

    async def _send(self, request: _Request, effect: Callable[[], T]) -> T:
        """Carry out a request, and record its arrival and its end."""

        def observed(is_answered: bool) -> T:  # noqa: FBT001 - as `Call` demands
            number = self._arrived(request)
            try:
                result = effect()
            except Conflict:
                self._ended(request, number, HTTPStatus.PRECONDITION_FAILED, is_answered=is_answered)
                raise
            self._ended(request, number, HTTPStatus.OK, is_answered=is_answered)
            return result

        def refuse() -> None:
            number = self._arrived(request)
            self._ended(request, number, HTTPStatus.SERVICE_UNAVAILABLE, is_answered=True, fault="refused")

        call = Call(f"store.{request.name}", observed, refuse, overtake=lambda: self.complete(request.key))
        return await self.boundary.carry_out(call, life=request.life)

    def _arrived(self, request: _Request) -> int:
        operation = {"create": "put", "replace": "put", "read": "get"}.get(request.name, request.name)
        return self.recorder.add(StoreRequest, operation=operation, key=request.key, worker=request.life).number

    def _ended(
        self, request: _Request, number: int, status: HTTPStatus, *, is_answered: bool, fault: str | None = None
    ) -> None:
        self.recorder.add(
            StoreResponse,
            kind=KINDS[request.name],
            request_number=number,
            operation=METHODS[request.name],
            key=request.key,
            status=status,
            delivered_status=status if is_answered else None,
            fault=fault if is_answered else "unanswered",
            **request.put,
        )


def _fields(write: Write) -> dict[str, Any]:
    """Return what is recorded of a PUT."""
    digest = hashlib.sha256(write.body)
    return {
        "create_only": write.replaces is None,
        "if_match": write.replaces,
        "checksum": base64.b64encode(digest.digest()).decode(),
        "metadata": dict(write.metadata),
        "digest": digest.hexdigest(),
        "size_bytes": len(write.body),
    }
