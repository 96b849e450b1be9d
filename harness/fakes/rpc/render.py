"""The chain in the JSON of a node: quantities as minimal hex, data as full hex, null where nodes give null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.world.bloom import logs_bloom

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.world.model import Block, Log, Transaction

ZERO_HASH = "0x" + "00" * 32
UNSIGNED = {"v": "0x1", "r": "0x1", "s": "0x1"}
"""Cryo drops a transaction without a signature; these are valid in form only."""

TYPES_WITHOUT_ACCESS_LIST = (0, 0x7E)


def data(raw: bytes) -> str:
    """Render bytes."""
    return "0x" + raw.hex()


def optional_data(raw: bytes | None) -> str | None:
    """Render bytes that may be absent."""
    return None if raw is None else data(raw)


def block(subject: Block, *, full: bool) -> dict[str, Any]:
    """Render a block with its transactions, whole or as hashes."""
    rendered: dict[str, Any] = {
        "number": hex(subject.number),
        "hash": data(subject.hash),
        "parentHash": data(subject.parent_hash),
        "nonce": "0x0000000000000000",
        "sha3Uncles": ZERO_HASH,
        "logsBloom": data(logs_bloom(log for _, log in subject.logs)),
        "transactionsRoot": ZERO_HASH,
        "stateRoot": ZERO_HASH,
        "receiptsRoot": ZERO_HASH,
        "miner": data(subject.author),
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": data(subject.extra_data),
        "size": "0x400",
        "gasLimit": hex(subject.gas_limit),
        "gasUsed": hex(subject.gas_used),
        "timestamp": hex(subject.timestamp),
        "mixHash": ZERO_HASH,
        "uncles": [],
        "transactions": [transaction(subject, each) if full else data(each.hash) for each in subject.transactions],
    }
    if subject.base_fee is not None:
        rendered["baseFeePerGas"] = hex(subject.base_fee)
    return rendered


def transaction(home: Block, subject: Transaction) -> dict[str, Any]:
    """Render a transaction in its block."""
    rendered: dict[str, Any] = {
        "blockHash": data(home.hash),
        "blockNumber": hex(home.number),
        "transactionIndex": hex(subject.index),
        "hash": data(subject.hash),
        "type": hex(subject.type),
        "nonce": hex(subject.nonce),
        "from": data(subject.sender),
        "to": optional_data(subject.to),
        "value": hex(subject.value),
        "input": data(subject.input),
        "gas": hex(subject.gas_limit),
        "gasPrice": hex(subject.gas_price),
        **UNSIGNED,
    }
    if subject.type not in TYPES_WITHOUT_ACCESS_LIST:
        rendered["accessList"] = []
    if subject.max_fee is not None and subject.max_priority_fee is not None:
        rendered["maxFeePerGas"] = hex(subject.max_fee)
        rendered["maxPriorityFeePerGas"] = hex(subject.max_priority_fee)
    return rendered


def receipt(home: Block, subject: Transaction) -> dict[str, Any]:
    """Render the receipt of a transaction."""
    before = (each.gas_used for each in home.transactions[: subject.index + 1])
    return {
        "blockHash": data(home.hash),
        "blockNumber": hex(home.number),
        "transactionIndex": hex(subject.index),
        "transactionHash": data(subject.hash),
        "type": hex(subject.type),
        "from": data(subject.sender),
        "to": optional_data(subject.to),
        "contractAddress": optional_data(subject.contract_address),
        "cumulativeGasUsed": hex(sum(before)),
        "gasUsed": hex(subject.gas_used),
        "effectiveGasPrice": hex(subject.gas_price),
        "status": hex(subject.succeeded),
        "logsBloom": data(logs_bloom(subject.logs)),
        "logs": logs(home, [(subject, each) for each in subject.logs]),
    }


def logs(home: Block, subjects: Iterable[tuple[Transaction, Log]]) -> list[dict[str, Any]]:
    """Render logs of a block."""
    return [
        {
            "address": data(log.address),
            "topics": [data(topic) for topic in log.topics],
            "data": data(log.data),
            "blockHash": data(home.hash),
            "blockNumber": hex(home.number),
            "transactionHash": data(transaction.hash),
            "transactionIndex": hex(transaction.index),
            "logIndex": hex(log.index),
            "removed": False,
        }
        for transaction, log in subjects
    ]
