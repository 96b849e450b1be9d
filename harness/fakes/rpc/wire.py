"""The pool on the wire: HTTP/1.1 with keep-alive on an asyncio loop, JSON-RPC single or in batches.

A protocol of its own rather than a web server, for two reasons that were measured or needed: one process of granian
(RSGI) gave real Cryo 11,000 answers a second where this gives 20,000, and a reset, a truncated body or a hang are a
few lines here and out of a web server's reach. It speaks only what JSON-RPC clients send: POST with a length.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.fakes.rpc import edits
from harness.fakes.rpc.journal import Call
from harness.fakes.rpc.methods import answer, blocks_of
from harness.fakes.rpc.node import Node, RpcError
from harness.fakes.rpc.refusals import Dress, refused
from harness.faults import RpcFault, Script, rpc
from harness.faults.rpc import HARNESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.faults.rpc import Wire

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 seconds: closing sends RST."""


_LARGE_HEADER = f"content-security-policy: {'x' * 9_000}\r\n"
"""More than the 8 kB that many HTTP clients take."""


@dataclass(slots=True)
class Shared:
    """What the endpoints of a pool have in common; only the pool's thread writes it, any may read the journal."""

    stop: Callable[[], object]
    gone: bool = False
    script: Script[RpcFault] = field(default_factory=Script)
    journal: list[Call] = field(default_factory=list)
    listeners: list[Callable[[Call], None]] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic


class Endpoint:
    """One node at work: its present state, and what its pool shares: journal, listeners, script."""

    def __init__(self, node: Node, shared: Shared) -> None:
        self.node, self.shared = node, shared
        self.connections: set[Connection] = set()
        self._outage: _Outage | None = None

    def reply(self, body: bytes) -> tuple[bytes, Wire | Dress | None]:
        """Answer one request: the body to send, and what to do to it on the wire."""
        try:
            request = json.loads(body)
        except ValueError:
            return _envelope("null", error=RpcError(-32700, "parse error")), None
        calls = request if isinstance(request, list) else [request]
        faults = self._faults(calls, is_batch=isinstance(request, list))
        for call, fault in zip(calls, faults, strict=True):
            self._note(call, fault)
        refusal = next((fault for fault in faults if isinstance(fault, rpc.Refusal)), None)
        if refusal is not None:
            return refused(request, refusal)
        replies = [self._answer(call, fault) for call, fault in zip(calls, faults, strict=True)]
        if not isinstance(request, list):
            return replies[0]
        wire = next((wire for _, wire in replies if wire is not None), None)
        return b"[" + b",".join(reply for reply, _ in replies) + b"]", wire

    def _faults(self, calls: list[dict[str, Any]], *, is_batch: bool) -> list[RpcFault | None]:
        """Return the fault that applies to each call, the same for all where the whole request is refused."""
        script, name = self.shared.script, self.node.name
        methods = [str(call.get("method")) for call in calls]
        if not script.faults:
            return [None] * len(calls)
        whole: RpcFault | None = None
        if not any(method.startswith(HARNESS) for method in methods):
            whole = self._ongoing() or (
                script.fire_first(lambda fault: fault.matches_batch(methods, name)) if is_batch else None
            )
        if whole is None:
            found = [self._fault(method, call) for method, call in zip(methods, calls, strict=True)]
            outage = next((fault for fault in found if isinstance(fault, rpc.Outage)), None)
            if outage is None:
                return found
            self._outage = _Outage(outage, self.shared.clock())
            whole = outage
        return [whole] * len(calls)

    def _fault(self, method: str, call: dict[str, Any]) -> RpcFault | None:
        """Count a call for every fault that it matches, and return the first that applies."""
        blocks, name = blocks_of(self.node, method, call.get("params", [])), self.node.name
        return self.shared.script.fire_first(lambda fault: fault.matches(method, blocks, name))

    def _ongoing(self) -> RpcFault | None:
        """Return the outage that this request falls into, and count the request for it."""
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
        identifier = json.dumps(call.get("id"))
        if isinstance(fault, rpc.Raw):
            return fault.body.encode(), None
        wire = fault if isinstance(fault, rpc.Wire) else None
        try:
            return self._envelope(method, params, identifier, fault), wire
        except RpcError as error:
            null_id = isinstance(fault, rpc.Error) and fault.null_id
            return _envelope("null" if null_id else identifier, error=error), wire

    def _note(self, asked: dict[str, Any], fault: RpcFault | None) -> None:
        """Write a call into the journal and tell the listeners."""
        shared, method, params = self.shared, str(asked.get("method")), asked.get("params", [])
        blocks = blocks_of(self.node, method, params)
        call = Call(len(shared.journal) + 1, time.monotonic(), self.node.name, method, params, blocks, fault)
        shared.journal.append(call)
        for listener in shared.listeners:
            listener(call)

    def _envelope(self, method: str, params: Any, identifier: str, fault: RpcFault | None) -> bytes:
        """Return the response's envelope with the result that the fault asks for, or the true one."""
        match fault:
            case rpc.Error(code, message, data, _):
                raise RpcError(code, message, data)
            case rpc.OtherBlock(offset):
                params = [hex(self.node.number(params[0]) + offset), *params[1:]]
            case rpc.Reorg(at, branch):
                self.node = replace(self.node, chain=self.node.chain.reorganised(at=at, branch=branch))
        result = answer(_member(self.node, fault), method, params)
        if isinstance(fault, rpc.Edit):
            result = edits.edited(result, fault)
        if isinstance(fault, rpc.Envelope):
            whole = {"jsonrpc": "2.0", "id": json.loads(identifier), "result": json.loads(result)} | fault.fields
            return json.dumps(whole).encode()
        return _envelope(identifier, result=result)


@dataclass(slots=True)
class _Outage:
    """An outage that goes on: since when, and how many requests it has refused."""

    fault: rpc.Outage
    began: float
    requests: int = 1

    def is_over(self, now: float) -> bool:
        """Tell whether the latest request comes after it."""
        return self.requests > self.fault.requests and now - self.began >= self.fault.seconds


def _member(node: Node, fault: RpcFault | None) -> Node:
    """Return the member of the pool that answers: the node itself, or another one if a fault says so."""
    match fault:
        case rpc.Pruned(below, receipts):
            return replace(node, pruned_below=below, pruned_receipts=receipts)
        case rpc.Lagging(head, unknown_hash):
            final = None if node.finalized is None else min(node.finalized, head)
            behind = replace(node, head=min(node.head, head), lag=0, finalized=final, logs_past_head_fail=False)
            return replace(behind, unknown_hash_fails=unknown_hash == "error")
    return node


class Connection(asyncio.Protocol):
    """One client's connection; a second request waits until the first is answered."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._buffer = b""
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (for the type checker; TCP always gives one)
        self._transport = transport
        self._endpoint.connections.add(self)
        if self._endpoint.shared.gone:
            self.reset()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's signature)
        """End, and forget what was still to be sent."""
        self._endpoint.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and answer each request that is whole."""
        self._buffer += data
        while not self._busy and self._next():
            pass

    def reset(self) -> None:
        """Break the connection off with an RST."""
        if self._transport is not None:
            with suppress(OSError):  # closed already
                raw = self._transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def _next(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._transport is None:
            return False
        head = self._buffer[:end]
        lowered = head.lower()
        place = lowered.find(b"content-length:")
        length = int(lowered[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return False
        body = self._buffer[end + 4 : end + 4 + length]
        self._buffer = self._buffer[end + 4 + length :]
        if not head.startswith(b"POST "):
            self._send(405, b"POST only")
        elif self._endpoint.node.key is not None and not _holds(head, self._endpoint.node.key):
            self._send(401, b'{"error":"invalid key"}')
        else:
            self._handle(body)
        return True

    def _handle(self, request: bytes) -> None:
        body, wire = self._endpoint.reply(request)
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
            self._timer = asyncio.get_running_loop().call_later(delay, self._late, body, wire)
        else:
            self._deliver(body, wire)

    def _late(self, body: bytes, wire: Wire | Dress | None) -> None:
        self._busy = False
        self._deliver(body, wire)
        self.data_received(b"")

    def _deliver(self, body: bytes, wire: Wire | Dress | None) -> None:
        match wire:
            case Dress(status, content_type, retry_after):
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
        size = len(body) if length is None else length
        if self._endpoint.node.chain.quirks.large_headers:
            extra += _LARGE_HEADER
        head = f"HTTP/1.1 {status} -\r\ncontent-type: {content_type}\r\n{extra}content-length: {size}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _retry_after(value: str | None) -> str:
    return "" if value is None else f"retry-after: {value}\r\n"


def _envelope(identifier: str, *, result: str | None = None, error: RpcError | None = None) -> bytes:
    if error is None:
        return f'{{"jsonrpc":"2.0","id":{identifier},"result":{result}}}'.encode()
    fields: dict[str, object] = {"code": error.code, "message": error.message}
    if error.data is not None:
        fields["data"] = error.data
    return f'{{"jsonrpc":"2.0","id":{identifier},"error":{json.dumps(fields)}}}'.encode()


def _holds(head: bytes, key: str) -> bool:
    """Tell whether a request's target or its basic authorisation holds the key."""
    target, _, headers = head.partition(b"\r\n")
    if key.encode() in target:
        return True
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"authorization":
            token = value.strip().split(b" ")[-1]
            return key.encode() in value or key.encode() in base64.b64decode(token + b"==")
    return False
