"""The simulated object store: S3's conditional writes and strong listing, with every request recorded."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from harness.history import StoreRequest, StoreResponse
from harness.simulate.boundary import Boundary, Refused, Unanswered
from harness.stores.memory import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.simulate.recorder import SimulatedRecorder

KINDS = {"list": "object_listed", "read": "object_read", "create": "object_put", "replace": "object_put"} | {
    "delete": "object_deleted"
}
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


@dataclass(slots=True)
class _End:
    """How a request ended: the number of its arrival, the store's status, and the status that the worker got."""

    number: int = 0
    status: HTTPStatus | None = None
    delivered: HTTPStatus | None = None
    fault: str | None = None


@dataclass(slots=True)
class SimulatedStore:
    """One bucket, which outlives the workers."""

    boundary: Boundary
    recorder: SimulatedRecorder
    objects: dict[str, Content] = field(default_factory=dict)
    _writes: int = 0

    async def list(self, prefix: str, *, life: int) -> dict[str, Content]:
        """Return the objects below a prefix, by key."""

        def effect() -> dict[str, Content]:
            return {key: self.objects[key] for key in sorted(self.objects) if key.startswith(prefix)}

        return await self._request("list", prefix, effect, life=life)

    async def read(self, key: str, *, life: int) -> Content | None:
        """Return an object, None if there is none."""
        return await self._request("read", key, lambda: self.objects.get(key), life=life)

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
        await self._request(name, key, effect, life=life, write=write)

    async def delete(self, key: str, *, life: int) -> None:
        """Delete an object; a missing one is no error."""
        await self._request("delete", key, lambda: self.objects.pop(key, None), life=life)

    async def _request(
        self, name: str, key: str, effect: Callable[[], T], *, life: int, write: Write | None = None
    ) -> T:
        """Carry out a request, and record its arrival and its end."""
        end = _End()

        def observed() -> T:
            end.number = self._arrived(name, key, life)
            try:
                result = effect()
            except Conflict:
                end.status = HTTPStatus.PRECONDITION_FAILED
                raise
            end.status = HTTPStatus.OK
            return result

        try:
            result = await self.boundary.carry_out(f"store.{name}", observed, life=life)
            end.delivered = end.status
        except Conflict:
            end.delivered = end.status
            raise
        except Refused:
            end.number = self._arrived(name, key, life)
            end.status = end.delivered = HTTPStatus.SERVICE_UNAVAILABLE
            end.fault = "refused"
            raise
        except Unanswered:
            end.fault = "unanswered"
            raise
        finally:
            if end.number:
                self._record(name, key, write, end)
        return result

    def _arrived(self, name: str, key: str, life: int) -> int:
        return self.recorder.add(StoreRequest, operation=_operation(name), key=key, worker=life).number

    def _record(self, name: str, key: str, write: Write | None, end: _End) -> None:
        put: dict[str, Any] = {}
        if write is not None:
            digest = hashlib.sha256(write.body)
            put = {
                "create_only": write.replaces is None,
                "if_match": write.replaces,
                "checksum": base64.b64encode(digest.digest()).decode(),
                "metadata": dict(write.metadata),
                "digest": digest.hexdigest(),
                "size_bytes": len(write.body),
            }
        self.recorder.add(
            StoreResponse,
            kind=KINDS[name],
            request_number=end.number,
            operation=METHODS[name],
            key=key,
            status=end.status,
            delivered_status=end.delivered,
            fault=end.fault,
            **put,
        )


def _operation(name: str) -> str:
    return {"create": "put", "replace": "put", "read": "get"}.get(name, name)
