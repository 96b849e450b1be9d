"""Turns S3 requests that pass through the proxy into events."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from harness.history import FaultFired, StoreRequest, StoreResponse
from harness.stores.framing import unframed
from harness.stores.proxy import Listener, Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.runner.recorder import Recorder

KINDS = {"put": "object_put", "delete": "object_deleted", "list": "object_listed", "get": "object_read"}
METADATA = "x-amz-meta-"


_OF_METHOD = {"PUT": "put", "DELETE": "delete", "GET": "get", "HEAD": "get"}


def operation_of(request: Request, bucket: str) -> tuple[str, str]:
    """Return the operation of an S3 request, and its key or prefix."""
    path = request.path.lstrip("/")
    name, _, key = path.partition("/")
    query = parse_qs(request.query, keep_blank_values=True)
    if name != bucket:
        return "other", path
    if not key:
        if "delete" in query:
            return "delete", ""
        return ("list", unquote(query.get("prefix", [""])[0])) if request.method == "GET" else ("other", path)
    return _OF_METHOD.get(request.method, "other"), key


class StoreListener(Listener):
    """Records two events for each S3 request: one as it arrives, one as it ends."""

    def __init__(self, recorder: Recorder, bucket: str, ports: Mapping[int, int]) -> None:
        self._recorder, self._bucket, self._ports = recorder, bucket, ports
        self._numbers: dict[int, int] = {}

    def on_request(self, number: int, request: Request) -> None:
        """Record the request."""
        operation, key = operation_of(request, self._bucket)
        event = self._recorder.add(StoreRequest, operation=operation, key=key, worker=self._ports.get(request.port))
        self._numbers[number] = event.number

    def on_response(self, number: int, request: Request, response: Response) -> None:
        """Record the response, and the fault if one fired."""
        operation, key = operation_of(request, self._bucket)
        headers = {name.lower(): value for name, value in request.headers.items()}
        content, trailers = unframed(headers, request.body)
        headers |= trailers
        fault = str(response.fault) if response.fault is not None else None
        if fault is not None:
            self._recorder.add(FaultFired, fault=fault)
        self._recorder.add(
            StoreResponse,
            kind=KINDS.get(operation, "store_other"),
            request_number=self._numbers[number],
            operation=request.method,
            key=key or request.body.decode(errors="replace"),
            create_only=headers.get("if-none-match") == "*",
            if_match=headers.get("if-match"),
            checksum=headers.get("x-amz-checksum-sha256"),
            metadata=_metadata(headers),
            digest=hashlib.sha256(content).hexdigest() if operation == "put" else None,
            size_bytes=len(content),
            secrets=self._recorder.secrets.found_in(content.decode("latin-1")),
            status=response.status,
            delivered_status=response.delivered_status,
            fault=fault,
        )


def _metadata(headers: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix(METADATA): value for name, value in headers.items() if name.startswith(METADATA)}
