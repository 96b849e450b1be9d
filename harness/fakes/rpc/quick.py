"""The quick way to answer a request: no result is decoded or encoded twice.

A node in a benchmark must not be slower than what it measures. Here a call's parameters stay bytes, its result is
rendered once and kept as bytes, and the response is joined from such parts. `wire.py` takes this way if nobody needs
the decoded calls: no journal, no listener, and no fault that depends on a single call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from harness.fakes.rpc.methods import answer
from harness.fakes.rpc.node import RpcError

if TYPE_CHECKING:
    from harness.fakes.rpc.node import Node

CACHE_BYTES = 2 << 30
"""Enough for every answer about 50,000 blocks that one dataset needs; past it, answers are rendered each time."""


class RawCall(msgspec.Struct):
    """One call; `id` and `params` are JSON."""

    method: str
    id: msgspec.Raw = msgspec.Raw(b"null")
    params: msgspec.Raw = msgspec.Raw(b"[]")


_ONE = msgspec.json.Decoder(RawCall)
_BATCH = msgspec.json.Decoder(list[RawCall])


def decode(body: bytes) -> tuple[list[RawCall], bool] | None:
    """Return the calls of a well-formed request and whether it is a batch; None if it is not well-formed."""
    try:
        return ([_ONE.decode(body)], False) if body.startswith(b"{") else (_BATCH.decode(body), True)
    except msgspec.DecodeError:
        return None


class Results:
    """The results of one node, kept as long as its answers stay the same."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._results: dict[tuple[str, bytes], bytes] = {}
        self._size = 0

    def reply(self, node: Node, call: RawCall) -> bytes:
        """Return the response to a call.

        Raises:
            RpcError: the response is an error object.
        """
        if node is not self._node:
            if node != self._node:
                self._results, self._size = {}, 0
            self._node = node
        key = call.method, bytes(call.params)
        result = self._results.get(key)
        if result is None:
            result = answer(node, call.method, _parameters(call)).encode()
            self._size += len(result)
            if self._size <= CACHE_BYTES:
                self._results[key] = result
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (bytes(call.id), result)


def _parameters(call: RawCall) -> object:
    try:
        return msgspec.json.decode(call.params)
    except msgspec.DecodeError as error:
        raise RpcError(-32700, f"parse error: {error}") from None
