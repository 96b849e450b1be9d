"""Parses a node's blocks, receipts and logs from untrusted JSON; a result that can't be used raises UnusableResult."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cryo_ingest.ports import NodeError

HASH_BYTES = 32
ADDRESS_BYTES = 20
BLOOM_BYTES = 256
MAX_TOPICS = 4

_is_quantity = re.compile(r"0x[0-9a-fA-F]{1,64}").fullmatch


class UnusableResult(Exception):
    """An answer is not a result of its method; the message gives the reason, without quoting the node."""


@dataclass(frozen=True, slots=True)
class Header:
    """The result of `eth_getBlockByNumber(n, false)`; optional fields that are missing are None."""

    number: int
    hash: bytes
    parent_hash: bytes
    transactions: tuple[bytes, ...]
    gas_used: int
    bloom: int | None
    timestamp: int | None
    base_fee_per_gas: int | None
    author: bytes | None
    extra_data: bytes | None


@dataclass(frozen=True, slots=True)
class Log:
    """One log with its position in the block."""

    transaction_index: int
    log_index: int
    transaction_hash: bytes
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """One transaction's receipt; `success` is None before Byzantium, when receipts had no status.

    `bloom` is the receipt's own logs bloom, None if the node returns none.
    """

    transaction_hash: bytes
    transaction_index: int
    gas_used: int
    success: bool | None
    logs: tuple[Log, ...]
    bloom: int | None = None


def parse_header(answer: object, number: int) -> Header:
    """Return the header of block `number`.

    Raises:
        UnusableResult: the answer is not a header, or is of another block.
    """
    fields = _object(answer, "block")
    actual = _integer(fields, "number")
    if actual != number:
        raise UnusableResult(f"the node answered with block {actual}")
    listed = fields.get("transactions")
    if not isinstance(listed, list):
        raise UnusableResult("the block lists no transactions")
    return Header(
        number=number,
        hash=_data(fields, "hash", HASH_BYTES),
        parent_hash=_data(fields, "parentHash", HASH_BYTES),
        transactions=tuple(_transaction_hash(item) for item in listed),
        gas_used=_integer(fields, "gasUsed"),
        bloom=_optional_bloom(fields),
        timestamp=_optional_integer(fields, "timestamp"),
        base_fee_per_gas=_optional_integer(fields, "baseFeePerGas"),
        author=_optional_data(fields, "miner", ADDRESS_BYTES),
        extra_data=_optional_data(fields, "extraData", None),
    )


def parse_receipts(answers: object, header: Header) -> dict[bytes, Receipt]:
    """Return a block's receipts by transaction, in any order.

    Some chains add receipts without a transaction in the block (system logs, state syncs); those are kept.

    Raises:
        UnusableResult: the receipt of one of the block's transactions is missing, or the answer is for another block.
    """
    if isinstance(answers, NodeError):
        raise UnusableResult(f"error {answers.code} instead of receipts")
    if not isinstance(answers, list):
        raise UnusableResult("null instead of receipts" if answers is None else "no list of receipts")
    receipts = {}
    for item in answers:
        fields = _object(item, "receipt")
        if _data(fields, "blockHash", HASH_BYTES) != header.hash:
            raise UnusableResult("a receipt belongs to another block")
        receipt = Receipt(
            transaction_hash=_data(fields, "transactionHash", HASH_BYTES),
            transaction_index=_integer(fields, "transactionIndex"),
            gas_used=_integer(fields, "gasUsed"),
            success=None if fields.get("status") is None else _integer(fields, "status") == 1,
            logs=parse_logs(fields.get("logs"), header),
            bloom=_optional_bloom(fields),
        )
        receipts[receipt.transaction_hash] = receipt
    if len(answers) != len(receipts) or not receipts.keys() >= set(header.transactions):
        raise UnusableResult(
            f"{len(answers)} receipts do not match the block's {len(header.transactions)} transactions"
        )
    return receipts


def parse_logs(answer: object, header: Header) -> tuple[Log, ...]:
    """Return the logs of one block.

    Raises:
        UnusableResult: the answer is not a list of logs, or is of another block.
    """
    if isinstance(answer, NodeError):
        raise UnusableResult(f"error {answer.code} instead of logs")
    if not isinstance(answer, list):
        raise UnusableResult("no list of logs")
    logs = []
    for item in answer:
        fields = _object(item, "log")
        if _data(fields, "blockHash", HASH_BYTES) != header.hash:
            raise UnusableResult("a log belongs to another block")
        topics = fields.get("topics")
        if not isinstance(topics, list) or len(topics) > MAX_TOPICS:
            raise UnusableResult("a log has no list of topics")
        logs.append(
            Log(
                transaction_index=_integer(fields, "transactionIndex"),
                log_index=_integer(fields, "logIndex"),
                transaction_hash=_data(fields, "transactionHash", HASH_BYTES),
                address=_data(fields, "address", ADDRESS_BYTES),
                topics=tuple(_bytes(topic, "a topic", HASH_BYTES) for topic in topics),
                data=_data(fields, "data", None),
            )
        )
    return tuple(logs)


def _transaction_hash(item: object) -> bytes:
    """Read an item of a block's transaction list: a hash, or the full transaction that some nodes send instead."""
    return _bytes(item.get("hash") if isinstance(item, dict) else item, "a transaction's hash", HASH_BYTES)


def _optional_bloom(fields: dict[str, Any]) -> int | None:
    bloom = _optional_data(fields, "logsBloom", BLOOM_BYTES)
    return None if bloom is None else int.from_bytes(bloom, "big")


def _object(value: object, what: str) -> dict[str, Any]:
    if isinstance(value, NodeError):
        raise UnusableResult(f"error {value.code} instead of a {what}")
    if not isinstance(value, dict):
        raise UnusableResult(f"no {what}")
    return value


def quantity(value: object) -> int | None:
    """Read JSON-RPC's QUANTITY of at most 256 bits; None for anything else."""
    if isinstance(value, str) and _is_quantity(value):
        return int(value, 16)
    return None


def _integer(fields: dict[str, Any], name: str) -> int:
    value = quantity(fields.get(name))
    if value is None:
        raise UnusableResult(f"its {name} is not a number")
    return value


def _optional_integer(fields: dict[str, Any], name: str) -> int | None:
    return None if fields.get(name) is None else _integer(fields, name)


def _data(fields: dict[str, Any], name: str, size: int | None) -> bytes:
    return _bytes(fields.get(name), f"its {name}", size)


def _optional_data(fields: dict[str, Any], name: str, size: int | None) -> bytes | None:
    return None if fields.get(name) is None else _data(fields, name, size)


def _bytes(value: object, what: str, size: int | None) -> bytes:
    try:
        if isinstance(value, str) and value.startswith("0x") and " " not in value:
            data = bytes.fromhex(value[2:])
            if size is None or len(data) == size:
                return data
    except ValueError:
        pass
    raise UnusableResult(f"{what} is not {'hexadecimal' if size is None else f'{size} bytes'}")
