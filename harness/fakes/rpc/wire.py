"""The pool's protocol: HTTP/1.1 with keep-alive on an asyncio loop, JSON-RPC calls alone or in batches.

This is not a web server, for two reasons: one process of granian (RSGI) served real Cryo 11,000 responses a second and
this module 20,000; and a web server can't reset a connection, truncate a body or hang. It supports only what JSON-RPC
clients send: POST with a Content-Length.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.fakes.rpc import edits, quick
from harness.fakes.rpc.counts import COUNTS_METHOD, Counts
from harness.fakes.rpc.journal import Call
from harness.fakes.rpc.limits import CurrentOutage, RateLimits
from harness.fakes.rpc.members import member
from harness.fakes.rpc.methods import answer, blocks_of
from harness.fakes.rpc.node import Node, RpcError
from harness.fakes.rpc.refusals import ResponseHead, rejection
from harness.faults import RpcFault, Script, rpc
from harness.faults.rpc import HARNESS_METHOD_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.faults.rpc import Wire

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: closing the socket sends RST."""

_LARGE_HEADER = f"content-security-policy: {'x' * 9_000}\r\n"
"""More than the 8 kB that many HTTP clients accept."""


@dataclass(slots=True)
class Shared:
    """State shared by the endpoints of a pool; only the pool's thread writes it, any thread may read the journal.

    Without `keep_journal` the journal stays empty, which saves time and memory; `counts` has numbers in both cases.
    """

    stop: Callable[[], object]
    gone: bool = False
    requests: int = 0
    connections: int = 0
    script: Script[RpcFault] = field(default_factory=Script)
    journal: list[Call] = field(default_factory=list)
    keep_journal: bool = True
    counts: Counts = field(default_factory=Counts)
    listeners: list[Callable[[Call], None]] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic

    @property
    def needs_calls(self) -> bool:
        """Whether the journal, a listener or a fault needs each call decoded."""
        return self.keep_journal or bool(self.listeners) or any(fault.needs_calls for fault in self.script.faults)


class Endpoint:
    """One node that is served: its current state, and the journal, listeners and script that its pool shares."""

    def __init__(self, node: Node, shared: Shared) -> None:
        self.node, self.shared = node, shared
        self.connections: set[Connection] = set()
        self._outage: CurrentOutage | None = None
        self._limits = RateLimits()
        self._results = quick.Results()

    def reply(self, body: bytes, connection: int = 0) -> tuple[bytes, Wire | ResponseHead | None]:
        """Return the body that answers one request, and how to send it; `connection` is its number."""
        self.shared.requests += 1
        if not self.shared.needs_calls and (reply := self._quick_reply(body)) is not None:
            return reply
        try:
            request = json.loads(body)
        except ValueError:
            return _envelope("null", error=RpcError(-32700, "parse error")), None
        calls = request if isinstance(request, list) else [request]
        faults = self._faults(calls, is_batch=isinstance(request, list))
        self.shared.counts.add(str(call.get("method")) for call in calls)
        self.shared.counts.add_faults(faults)
        for call, fault in zip(calls, faults, strict=True):
            self._record(call, fault, connection)
        return self._reply(request, calls, faults)

    def _reply(
        self, request: object, calls: list[dict[str, Any]], faults: list[RpcFault | None]
    ) -> tuple[bytes, Wire | ResponseHead | None]:
        refusal = next((fault for fault in faults if isinstance(fault, rpc.Refusal)), None)
        if refusal is not None:
            return rejection(request, refusal)
        replies = [self._answer(call, fault) for call, fault in zip(calls, faults, strict=True)]
        if not isinstance(request, list):
            return replies[0]
        wire = next((wire for _, wire in replies if wire is not None), None)
        return b"[" + b",".join(reply for reply, _ in replies) + b"]", wire

    def _quick_reply(self, body: bytes) -> tuple[bytes, Wire | ResponseHead | None] | None:
        """Return what `reply` returns, or None if the usual way has to answer the request."""
        decoded = quick.decode(body)
        if decoded is None:
            return None
        calls, is_batch = decoded
        if any(call.method.startswith(HARNESS_METHOD_PREFIX) for call in calls):
            return None
        methods = [call.method for call in calls]
        self.shared.counts.add(methods)
        fault = self._for_request(methods, [None] * len(calls), is_batch=is_batch)
        if fault is not None:
            self.shared.counts.add_faults([fault] * len(calls))
        if fault is not None and not isinstance(fault, rpc.Wire):
            request = json.loads(body)
            return self._reply(request, request if is_batch else [request], [fault] * len(calls))
        replies = [self._quick_answer(call) for call in calls]
        return b"[" + b",".join(replies) + b"]" if is_batch else replies[0], fault

    def _quick_answer(self, call: quick.RawCall) -> bytes:
        try:
            return self._results.reply(self.node, call)
        except RpcError as error:
            return _envelope(bytes(call.id).decode(), error=error)

    def _faults(self, calls: list[dict[str, Any]], *, is_batch: bool) -> list[RpcFault | None]:
        """Return the fault that applies to each call; if it rejects the whole request, the same for all calls."""
        if not self.shared.script.faults:
            return [None] * len(calls)
        methods = [str(call.get("method")) for call in calls]
        blocks = [
            blocks_of(self.node, *asked) for asked in zip(methods, (c.get("params", []) for c in calls), strict=True)
        ]
        for_all = self._for_request(methods, blocks, is_batch=is_batch)
        if for_all is None:
            applying = [self._fault(*asked) for asked in zip(methods, blocks, strict=True)]
            outage = next((fault for fault in applying if isinstance(fault, rpc.Outage)), None)
            if outage is None:
                return applying
            self._outage = CurrentOutage(outage, self.shared.clock())
            for_all = outage
        return [for_all] * len(calls)

    def _for_request(
        self, methods: list[str], blocks: list[tuple[int, int] | None], *, is_batch: bool
    ) -> RpcFault | None:
        """Count a request for every fault of requests that it matches, and return the first that applies."""
        script, name = self.shared.script, self.node.name
        if not script.faults or any(method.startswith(HARNESS_METHOD_PREFIX) for method in methods):
            return None
        if (ongoing := self._ongoing()) is not None:
            return ongoing
        now = self.shared.clock()

        def matches(fault: RpcFault) -> bool:
            if isinstance(fault, rpc.RateLimit):
                calls = fault.counted(methods, name)
                return calls > 0 and self._limits.exceeds(fault, calls, now)
            if isinstance(fault, rpc.BatchLimit):
                return is_batch and fault.matches_batch(methods, name)
            asked = zip(methods, blocks, strict=True)
            return fault.counts == "requests" and any(fault.matches(method, of, name) for method, of in asked)

        found = script.fire_first(matches)
        if isinstance(found, rpc.Outage):
            self._outage = CurrentOutage(found, now)
        return found

    def _fault(self, method: str, blocks: tuple[int, int] | None) -> RpcFault | None:
        """Count a call for every fault of calls that it matches, and return the first that applies."""
        name = self.node.name
        return self.shared.script.fire_first(
            lambda fault: fault.counts == "calls" and fault.matches(method, blocks, name)
        )

    def _ongoing(self) -> RpcFault | None:
        """Return the current outage, if any, and count this request for it."""
        outage = self._outage
        if outage is None:
            return None
        outage.requests += 1
        if outage.is_over(self.shared.clock()):
            self._outage = None
            return None
        return outage.fault

    def _answer(self, call: dict[str, Any], fault: RpcFault | None) -> tuple[bytes, Wire | None]:
        method, params = str(call.get("method")), call.get("params", [])
        call_id = json.dumps(call.get("id"))
        if isinstance(fault, rpc.Raw):
            return fault.body.encode(), None
        wire = fault if isinstance(fault, rpc.Wire) else None
        try:
            return self._envelope(method, params, call_id, fault), wire
        except RpcError as error:
            null_id = isinstance(fault, rpc.Error) and fault.null_id
            return _envelope("null" if null_id else call_id, error=error), wire

    def _record(self, received: dict[str, Any], fault: RpcFault | None, connection: int) -> None:
        """Add a call to the journal and call the listeners."""
        shared, method, params = self.shared, str(received.get("method")), received.get("params", [])
        if not shared.keep_journal and not shared.listeners:
            return
        blocks = blocks_of(self.node, method, params)
        call = Call(
            len(shared.journal) + 1, time.monotonic(), self.node.name, method, params, blocks, fault, shared.requests,
            connection,
        )  # fmt: skip
        if shared.keep_journal:
            shared.journal.append(call)
        for listener in shared.listeners:
            listener(call)

    def _envelope(self, method: str, params: Any, call_id: str, fault: RpcFault | None) -> bytes:
        """Return the envelope of the response, with the fault's result or the correct one."""
        match fault:
            case rpc.Error(code, message, data, _):
                raise RpcError(code, message, data)
            case rpc.OtherBlock(offset):
                params = [hex(self.node.number(params[0]) + offset), *params[1:]]
            case rpc.Reorg(at, branch):
                self.node = replace(self.node, chain=self.node.chain.reorganised(at=at, branch=branch))
        if method == COUNTS_METHOD:
            return _envelope(call_id, result=json.dumps(self.shared.counts.as_json()))
        result = answer(member(self.node, fault), method, params)
        if isinstance(fault, rpc.Edit):
            result = edits.apply_edit(result, fault)
        if isinstance(fault, rpc.Envelope):
            envelope = {"jsonrpc": "2.0", "id": json.loads(call_id), "result": json.loads(result)} | fault.fields
            return json.dumps(envelope).encode()
        return _envelope(call_id, result=result)


class Connection(asyncio.Protocol):
    """The connection of a client; a second request waits until the first one is answered."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        endpoint.shared.connections += 1
        self._number = endpoint.shared.connections
        self._buffer = b""
        self._busy = False
        self._requests = 0
        self._accepts_gzip = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (for the type checker; true for TCP)
        self._transport = transport
        self._endpoint.connections.add(self)
        if self._endpoint.shared.gone:
            self.reset()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's signature)
        """Unregister the connection, and cancel a delayed response."""
        self._endpoint.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Append bytes to the buffer, and answer each complete request."""
        self._buffer += data
        while not self._busy and self._next():
            pass

    def reset(self) -> None:
        """Reset the connection with an RST."""
        if self._transport is not None:
            with suppress(OSError):  # closed already
                raw = self._transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def _next(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._transport is None or self._transport.is_closing():
            return False
        head = self._buffer[:end]
        lowered = head.lower()
        start = lowered.find(b"content-length:")
        length = int(lowered[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return False
        body = self._buffer[end + 4 : end + 4 + length]
        self._buffer = self._buffer[end + 4 + length :]
        self._requests += 1
        self._accepts_gzip = b"gzip" in lowered
        if not head.startswith(b"POST "):
            self._send(405, b"POST only")
        elif self._endpoint.node.key is not None and not _contains_key(head, self._endpoint.node.key):
            self._send(401, b'{"error":"invalid key"}')
        else:
            self._handle(body)
        return True

    def _handle(self, request: bytes) -> None:
        body, wire = self._endpoint.reply(request, self._number)
        delay = self._endpoint.node.latency_seconds
        match wire:
            case rpc.Hang():
                self._busy = True
                return
            case rpc.Reset():
                self.reset()
                return
            case rpc.Stop():
                self._busy = True
                self._endpoint.shared.stop()
                return
            case rpc.Close():
                self._close()
                return
            case rpc.Delay(seconds):
                delay += seconds
        if delay:
            self._busy = True
            self._timer = asyncio.get_running_loop().call_later(delay, self._send_delayed, body, wire)
        else:
            self._send_response(body, wire)

    def _send_delayed(self, body: bytes, wire: Wire | ResponseHead | None) -> None:
        self._busy = False
        self._send_response(body, wire)
        self.data_received(b"")

    def _send_response(self, body: bytes, wire: Wire | ResponseHead | None) -> None:
        match wire:
            case ResponseHead(status, content_type, retry_after):
                self._send(status, body, _retry_after(retry_after), content_type=content_type)
            case rpc.Status(code, text, retry_after, with_result):
                self._send(code, body if with_result else text.encode(), _retry_after(retry_after))
            case rpc.Truncate():
                self._send(200, body[: len(body) // 2], length=len(body))
                self._close()
            case _:
                self._send(200, body)

    def _send(
        self,
        status: int,
        body: bytes,
        extra: str = "",
        *,
        length: int | None = None,
        content_type: str = "application/json",
    ) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._endpoint.node.chain.quirks.large_headers:
            extra += _LARGE_HEADER
        http = self._endpoint.node.http
        if http.gzip and self._accepts_gzip and length is None:
            body, extra = gzip.compress(body, compresslevel=1), f"{extra}content-encoding: gzip\r\n"
        ends = not http.keep_alive or self._requests == http.requests_a_connection
        if ends and http.keep_alive:
            extra += "connection: close\r\n"
        size = len(body) if length is None else length
        version = "1.1" if http.keep_alive else "1.0"
        head = f"HTTP/{version} {status} -\r\ncontent-type: {content_type}\r\n{extra}content-length: {size}\r\n\r\n"
        self._transport.write(head.encode() + body)
        if ends:
            self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _retry_after(value: str | None) -> str:
    return "" if value is None else f"retry-after: {value}\r\n"


def _envelope(call_id: str, *, result: str | None = None, error: RpcError | None = None) -> bytes:
    if error is None:
        return f'{{"jsonrpc":"2.0","id":{call_id},"result":{result}}}'.encode()
    fields: dict[str, object] = {"code": error.code, "message": error.message}
    if error.data is not None:
        fields["data"] = error.data
    return f'{{"jsonrpc":"2.0","id":{call_id},"error":{json.dumps(fields)}}}'.encode()


def _contains_key(head: bytes, key: str) -> bool:
    """Return whether the target or the basic authorisation of a request contains the key."""
    target, _, headers = head.partition(b"\r\n")
    if key.encode() in target:
        return True
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"authorization":
            token = value.strip().split(b" ")[-1]
            return key.encode() in value or key.encode() in base64.b64decode(token + b"==")
    return False
