"""What each JSON-RPC method answers, as rendered JSON: the part of a node that Cryo, and a worker's proof, speak to.

A method that is not here answers -32601 and is named in the journal like any other; nothing answers a plausible
default.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.fakes.rpc import render
from harness.fakes.rpc.endpoint import Endpoint, RpcError
from harness.world.values import Log

if TYPE_CHECKING:
    from collections.abc import Callable

    Method = Callable[[Endpoint, list[Any]], str]

INVALID_PARAMS = -32602
METHOD_NOT_FOUND = -32601


def answer(endpoint: Endpoint, method: str, params: object) -> str:
    """Return the result of a call as JSON.

    Raises:
        RpcError: the answer is an error object.
    """
    known = METHODS.get(method)
    if known is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {method} does not exist/is not available")
    if not isinstance(params, list):
        raise RpcError(INVALID_PARAMS, "invalid params: must be an array")
    try:
        return known(endpoint, params)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise RpcError(INVALID_PARAMS, f"invalid params: {error}") from None


def blocks_of(endpoint: Endpoint, method: str, params: object) -> tuple[int, int] | None:
    """Return the inclusive range of blocks that a call is about, or None where that can't be said."""
    try:
        if not isinstance(params, list) or not params:
            return None
        if method == "eth_getLogs":
            return _log_range(endpoint, params[0])
        if method in {"eth_getBlockByHash", "eth_getTransactionByHash", "eth_getTransactionReceipt"}:
            return None
        place = _BLOCK_PARAMETER.get(method, 0)
        number = endpoint.number(params[place])
    except (RpcError, IndexError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return number, number


def _chain_id(endpoint: Endpoint, _: list[Any]) -> str:
    return f'"{endpoint.chain.chain_id if endpoint.chain_id is None else endpoint.chain_id:#x}"'


def _block_number(endpoint: Endpoint, _: list[Any]) -> str:
    return f'"{endpoint.head:#x}"'


def _block_by_number(endpoint: Endpoint, params: list[Any]) -> str:
    number = endpoint.number(params[0])
    if number > endpoint.known:
        return "null"
    return render.block(endpoint.chain, number, full=bool(params[1]))


def _block_by_hash(endpoint: Endpoint, params: list[Any]) -> str:
    number = endpoint.chain.number_of(_data(params[0], 32))
    if number is None or number > endpoint.known:
        return "null"
    return render.block(endpoint.chain, number, full=bool(params[1]))


def _block_receipts(endpoint: Endpoint, params: list[Any]) -> str:
    if endpoint.chain.quirks.no_block_receipts:
        raise RpcError(METHOD_NOT_FOUND, "the method eth_getBlockReceipts does not exist/is not available")
    number = endpoint.number(params[0])
    return "null" if number > endpoint.known else render.array(render.receipts(endpoint.chain, number))


def _transaction_receipt(endpoint: Endpoint, params: list[Any]) -> str:
    found = endpoint.chain.transaction_by_hash(_data(params[0], 32))
    if found is None or found.block_number > endpoint.known:
        return "null"
    return render.receipts(endpoint.chain, found.block_number)[found.transaction_index]


def _transaction_by_hash(endpoint: Endpoint, params: list[Any]) -> str:
    found = endpoint.chain.transaction_by_hash(_data(params[0], 32))
    if found is None or found.block_number > endpoint.known:
        return "null"
    return render.transaction(endpoint.chain, found)


def _logs(endpoint: Endpoint, params: list[Any]) -> str:
    criteria = params[0]
    first, last = _log_range(endpoint, criteria)
    if endpoint.max_log_range is not None and last - first + 1 > endpoint.max_log_range:
        raise RpcError(-32005, f"query exceeds max block range {endpoint.max_log_range}")
    if last > endpoint.known and endpoint.logs_past_head_fail:
        raise RpcError(INVALID_PARAMS, f"block range extends beyond current head block: {last} > {endpoint.known}")
    addresses = _addresses(criteria.get("address"))
    topics = [_choices(topic) for topic in criteria.get("topics") or []]
    found = (
        rendered
        for number in range(first, min(last, endpoint.known) + 1)
        for placed, rendered in render.logs(endpoint.chain, number)
        if _matches(placed.log, addresses, topics)
    )
    return render.array(found)


def _log_range(endpoint: Endpoint, criteria: dict[str, Any]) -> tuple[int, int]:
    if "blockHash" in criteria:
        number = endpoint.chain.number_of(_data(criteria["blockHash"], 32))
        if number is None or number > endpoint.known:
            raise RpcError(-32000, "unknown block")
        return number, number
    return endpoint.number(criteria.get("fromBlock", "latest")), endpoint.number(criteria.get("toBlock", "latest"))


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


def _script(endpoint: Endpoint, _: list[Any]) -> str:
    if endpoint.script is None:
        raise RpcError(METHOD_NOT_FOUND, "the method harness_script does not exist/is not available")
    return json.dumps(endpoint.script)


METHODS: dict[str, Method] = {
    "eth_chainId": _chain_id,
    "net_version": lambda endpoint, _: f'"{endpoint.chain.chain_id}"',
    "web3_clientVersion": lambda *_: '"harness/fake-rpc"',
    "eth_syncing": lambda *_: "false",
    "eth_blockNumber": _block_number,
    "eth_getBlockByNumber": _block_by_number,
    "eth_getBlockByHash": _block_by_hash,
    "eth_getBlockReceipts": _block_receipts,
    "eth_getTransactionReceipt": _transaction_receipt,
    "eth_getTransactionByHash": _transaction_by_hash,
    "eth_getLogs": _logs,
    "harness_script": _script,
    "harness_started": lambda *_: "true",
}

_BLOCK_PARAMETER = {"eth_getBalance": 1, "eth_getCode": 1, "eth_getTransactionCount": 1, "eth_getStorageAt": 2}
"""Which parameter names the block, where it is not the first."""
