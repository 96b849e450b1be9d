"""The JSON-RPC methods that Cryo and a worker's proof use; each returns its result as rendered JSON.

A method that is not modelled is answered with -32601, never with a plausible default; the journal records it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.fakes.rpc import render, tracers
from harness.fakes.rpc.node import Node, RpcError
from harness.world import state
from harness.world.values import Log

if TYPE_CHECKING:
    from collections.abc import Callable

    Method = Callable[[Node, list[Any]], str]


class UnknownHash(RpcError):
    """The node has no block with this hash."""


INVALID_PARAMS = -32602
METHOD_NOT_FOUND = -32601
PRUNED = 4444
"""The error code of nodes for history that they have pruned (EIP-4444)."""


def answer(node: Node, method: str, params: object) -> str:
    """Return the result of a call as JSON.

    Raises:
        RpcError: the response is an error object.
    """
    known = METHODS.get(method)
    if known is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {method} does not exist/is not available")
    if not isinstance(params, list):
        raise RpcError(INVALID_PARAMS, "invalid params: must be an array")
    try:
        return known(node, params)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise RpcError(INVALID_PARAMS, f"invalid params: {error}") from None


def blocks_of(node: Node, method: str, params: object) -> tuple[int, int] | None:
    """Return the inclusive range of requested blocks, or None if it is unknown."""
    try:
        if not isinstance(params, list) or not params:
            return None
        if method == "eth_getLogs":
            return _log_range(node, params[0])
        if method in {"eth_getTransactionByHash", "eth_getTransactionReceipt"}:
            transaction = node.chain.transaction_by_hash(_data(params[0], 32))
            return None if transaction is None else (transaction.block_number, transaction.block_number)
        if method == "eth_getBlockByHash":
            return None
        index = _BLOCK_PARAMETER.get(method, 0)
        number = node.number(params[index])
    except (RpcError, IndexError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return number, number


def _chain_id(node: Node, _: list[Any]) -> str:
    return f'"{node.chain.chain_id if node.chain_id is None else node.chain_id:#x}"'


def _block_number(node: Node, _: list[Any]) -> str:
    return f'"{node.head:#x}"'


def _block_by_number(node: Node, params: list[Any]) -> str:
    number = node.number(params[0])
    if number > node.known:
        return "null"
    return render.block(node.chain, number, full=_full_transactions(node, params[1]))


def _full_transactions(node: Node, parameter: object) -> bool:
    return bool(parameter) or node.chain.quirks.hydrated_blocks


def _block_by_hash(node: Node, params: list[Any]) -> str:
    number = node.chain.number_of(_data(params[0], 32))
    if number is None or number > node.known:
        return "null"
    return render.block(node.chain, number, full=_full_transactions(node, params[1]))


def _block_receipts(node: Node, params: list[Any]) -> str:
    if node.chain.quirks.no_block_receipts or node.chain.quirks.no_receipts:
        raise RpcError(METHOD_NOT_FOUND, "the method eth_getBlockReceipts does not exist/is not available")
    number = node.number(params[0])
    if number > node.known:
        return "null"
    if number < node.pruned_below:
        return _pruned_receipts(node)
    return render.array(render.block_receipts(node.chain, number))


def _pruned_receipts(node: Node) -> str:
    if node.pruned_receipts == "error":
        raise RpcError(PRUNED, "pruned history unavailable")
    return "[]" if node.pruned_receipts == "empty" else "null"


def _transaction_receipt(node: Node, params: list[Any]) -> str:
    if node.chain.quirks.no_receipts:
        raise RpcError(METHOD_NOT_FOUND, "the method eth_getTransactionReceipt does not exist/is not available")
    transaction = node.chain.transaction_by_hash(_data(params[0], 32))
    if transaction is None or not node.pruned_below <= transaction.block_number <= node.known:
        return "null"
    return render.receipts(node.chain, transaction.block_number)[transaction.transaction_index]


def _transaction_by_hash(node: Node, params: list[Any]) -> str:
    transaction = node.chain.transaction_by_hash(_data(params[0], 32))
    if transaction is None or transaction.block_number > node.known:
        return "null"
    return render.transaction(node.chain, transaction)


def _logs(node: Node, params: list[Any]) -> str:
    criteria = params[0]
    try:
        first, last = _log_range(node, criteria)
    except UnknownHash:
        if node.unknown_hash_fails:
            raise
        return "[]"
    if node.max_log_range is not None and last - first + 1 > node.max_log_range:
        raise RpcError(-32005, f"query exceeds max block range {node.max_log_range}")
    if last > node.known and node.logs_past_head_fail:
        raise RpcError(INVALID_PARAMS, f"block range extends beyond current head block: {last} > {node.known}")
    addresses = _addresses(criteria.get("address"))
    topics = [_choices(topic) for topic in criteria.get("topics") or []]
    shown = range(max(first, node.pruned_below), min(last, node.known) + 1)
    if addresses is None and not topics:
        return render.array(filter(None, (render.all_logs(node.chain, number) for number in shown)))
    matching = (
        rendered
        for number in shown
        for placed, rendered in render.logs(node.chain, number)
        if _matches(placed.log, addresses, topics)
    )
    return render.array(matching)


def _log_range(node: Node, criteria: dict[str, Any]) -> tuple[int, int]:
    if "blockHash" in criteria:
        number = node.chain.number_of(_data(criteria["blockHash"], 32))
        if number is None or number > node.known:
            raise UnknownHash(-32000, "unknown block")
        return number, number
    return node.number(criteria.get("fromBlock", "latest")), node.number(criteria.get("toBlock", "latest"))


def _addresses(value: Any) -> set[bytes] | None:
    if value is None:
        return None
    return {_data(item, 20) for item in ([value] if isinstance(value, str) else value)} or None


def _choices(topic: Any) -> set[bytes] | None:
    if topic is None:
        return None
    return {_data(item, 32) for item in ([topic] if isinstance(topic, str) else topic)} or None


def _matches(log: Log, addresses: set[bytes] | None, topics: list[set[bytes] | None]) -> bool:
    if addresses is not None and log.address not in addresses:
        return False
    if len(topics) > len(log.topics):
        return False
    return all(wanted is None or topic in wanted for topic, wanted in zip(log.topics, topics, strict=False))


def _data(text: str, size: int) -> bytes:
    data = bytes.fromhex(text.removeprefix("0x"))
    if len(data) != size:
        message = f"{text!r} is not {size} bytes"
        raise ValueError(message)
    return data


def _known_block(node: Node, tag: object) -> int:
    """Return the number of a block that the node has.

    Raises:
        RpcError: the node does not have it.
    """
    number = node.number(tag)
    if number > node.known:
        raise RpcError(-32000, f"block {number:#x} not found")
    return number


def _trace_block(node: Node, params: list[Any]) -> str:
    return tracers.trace_block(node.chain, _known_block(node, params[0]))


def _replay(node: Node, params: list[Any]) -> str:
    return tracers.replay_block(node.chain, _known_block(node, params[0]), params[1])


def _debug(node: Node, params: list[Any]) -> str:
    options = params[1] if len(params) > 1 else {}
    return tracers.debug_block(node.chain, _known_block(node, params[0]), options)


def _balance(node: Node, params: list[Any]) -> str:
    return (
        f'"{state.balance(node.chain, _data(params[0], 20), state.position_of(_known_block(node, params[1]) + 1)):#x}"'
    )


def _code(node: Node, params: list[Any]) -> str:
    position = state.position_of(_known_block(node, params[1]) + 1)
    return f'"{render.hexadecimal(state.code_at(node.chain, _data(params[0], 20), position))}"'


def _count(node: Node, params: list[Any]) -> str:
    return (
        f'"{state.nonce_at(node.chain, _data(params[0], 20), state.position_of(_known_block(node, params[1]) + 1)):#x}"'
    )


def _storage(node: Node, params: list[Any]) -> str:
    slot = int(params[1], 16).to_bytes(32, "big")
    position = state.position_of(_known_block(node, params[2]) + 1)
    return f'"{render.hexadecimal(state.storage(node.chain, _data(params[0], 20), slot, position))}"'


def _script(node: Node, _: list[Any]) -> str:
    if node.script is None:
        raise RpcError(METHOD_NOT_FOUND, "the method harness_script does not exist/is not available")
    chain = node.chain
    facts = {
        "version": 1,
        "seed": chain.seed,
        "quirks": asdict(chain.quirks),
        "reorgs": [asdict(reorg) for reorg in chain.reorgs],
        "head": node.known,
        "logs_past_head_fail": node.logs_past_head_fail,
    }
    return json.dumps(facts | node.script)


METHODS: dict[str, Method] = {
    "eth_chainId": _chain_id,
    "net_version": lambda node, _: f'"{node.chain.chain_id}"',
    "web3_clientVersion": lambda *_: '"harness/fake-rpc"',
    "eth_syncing": lambda *_: "false",
    "eth_blockNumber": _block_number,
    "eth_getBlockByNumber": _block_by_number,
    "eth_getBlockByHash": _block_by_hash,
    "eth_getBlockReceipts": _block_receipts,
    "eth_getTransactionReceipt": _transaction_receipt,
    "eth_getTransactionByHash": _transaction_by_hash,
    "eth_getLogs": _logs,
    "eth_getBalance": _balance,
    "eth_getCode": _code,
    "eth_getTransactionCount": _count,
    "eth_getStorageAt": _storage,
    "trace_block": _trace_block,
    "trace_replayBlockTransactions": _replay,
    "debug_traceBlockByNumber": _debug,
    "harness_script": _script,
    "harness_started": lambda *_: "true",
    "harness_wrote": lambda *_: "true",
}

_BLOCK_PARAMETER = {"eth_getBalance": 1, "eth_getCode": 1, "eth_getTransactionCount": 1, "eth_getStorageAt": 2}
"""The index of the parameter that names the block, if it is not the first."""
