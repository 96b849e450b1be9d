"""What the endpoint answers, method by method; no wire and no faults. What is not modelled is refused by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.fakes.rpc import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.world.chain import Chain
    from harness.world.model import Block

METHOD_NOT_FOUND, INVALID_PARAMS, SERVER_ERROR = -32601, -32602, -32000
FINALITY_BLOCKS = 64
LARGEST_LOG_RANGE = 10_000


class RpcError(Exception):
    """A JSON-RPC error answer."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Node:
    """A node at a head: `head` is the newest block that it has."""

    chain: Chain
    head: int

    def answer(self, method: str, params: list[Any]) -> Any:
        """Return the result of a call.

        Raises:
            RpcError: as a node would answer it.
        """
        handler = HANDLERS.get(method)
        if handler is None:
            raise RpcError(METHOD_NOT_FOUND, f"the method {method} does not exist/is not available")
        try:
            return handler(self, *params)
        except TypeError:
            raise RpcError(INVALID_PARAMS, f"{method} does not take these params") from None

    def find(self, tag: object) -> Block | None:
        """Return the block that a number or a tag names; None past the head."""
        if not isinstance(tag, str):
            raise RpcError(INVALID_PARAMS, "invalid argument 0: a block number is a string")
        named = {"latest": self.head, "pending": self.head, "earliest": 0}
        named |= dict.fromkeys(("finalized", "safe"), max(0, self.head - FINALITY_BLOCKS))
        if tag not in named and not re.fullmatch("0x(0|[1-9a-f][0-9a-f]*)", tag):
            raise RpcError(INVALID_PARAMS, f"invalid argument 0: {tag!r} is no block number")
        number = named[tag] if tag in named else int(tag, 16)
        return self.chain.block(number) if number <= self.head else None


def _block_by_number(node: Node, tag: object, full: object = False) -> dict[str, Any] | None:  # noqa: FBT002 - the wire's
    found = node.find(tag)
    return render.block(found, full=bool(full)) if found else None


def _block_receipts(node: Node, tag: object) -> list[dict[str, Any]] | None:
    found = node.find(tag)
    return [render.receipt(found, each) for each in found.transactions] if found else None


def _transaction_receipt(node: Node, text: str) -> dict[str, Any] | None:
    found = node.chain.find_transaction(bytes.fromhex(text.removeprefix("0x")))
    return render.receipt(*found) if found and found[0].number <= node.head else None


def _logs(node: Node, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    unknown = wanted.keys() - {"fromBlock", "toBlock", "topics"}
    if unknown or any(wanted.get("topics") or []):
        raise RpcError(INVALID_PARAMS, f"this filter is not modelled: {', '.join(sorted(unknown)) or 'topics'}")
    first, last = node.find(wanted["fromBlock"]), node.find(wanted["toBlock"])
    if first is None or last is None:
        raise RpcError(INVALID_PARAMS, "block range extends beyond current head block")
    if last.number - first.number >= LARGEST_LOG_RANGE:
        raise RpcError(INVALID_PARAMS, f"block range is over {LARGEST_LOG_RANGE}")
    blocks = [node.chain.block(number) for number in range(first.number, last.number + 1)]
    return [log for block in blocks for log in render.logs(block, block.logs)]


def _script(node: Node, words: list[str]) -> dict[str, Any]:
    del words
    return {"version": 1, "seed": node.chain.seed}


HANDLERS: dict[str, Callable[..., Any]] = {
    "eth_chainId": lambda node: hex(node.chain.chain_id),
    "net_version": lambda node: str(node.chain.chain_id),
    "web3_clientVersion": lambda _node: "cryo-harness/1",
    "eth_blockNumber": lambda node: hex(node.head),
    "eth_getBlockByNumber": _block_by_number,
    "eth_getBlockReceipts": _block_receipts,
    "eth_getTransactionReceipt": _transaction_receipt,
    "eth_getLogs": _logs,
    "harness_script": _script,
    "harness_started": lambda _node, _started: True,
}
