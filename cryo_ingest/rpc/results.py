"""A node's blocks, receipts and logs, parsed from untrusted JSON into plain values; what can't be used is BadAnswer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cryo_ingest.ports import NodeError

HASH_BYTES = 32
ADDRESS_BYTES = 20
BLOOM_BYTES = 256
MOST_TOPICS = 4


class BadAnswer(Exception):
    """An answer is not what the method gives; the message says in a few words why, with no text of the node's."""


@dataclass(frozen=True, slots=True)
class Header:
    """What `eth_getBlockByNumber(n, false)` says; `bloom` is None where the chain has none, as are missing fields."""

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
    """One log with its place."""

    transaction_index: int
    log_index: int
    transaction_hash: bytes
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """One transaction's outcome; `success` is None before Byzantium, when receipts had no status.

    `bloom` is the receipt's own logs bloom, None where the node gives none.
    """

    transaction_hash: bytes
    transaction_index: int
    gas_used: int
    success: bool | None
    logs: tuple[Log, ...]
    bloom: int | None = None


def parse_header(answer: object, number: int) -> Header:
    """Return the header of the block that was asked for.

    Raises:
        BadAnswer: it is none, or another block's.
    """
    fields = _object(answer, "block")
    seen = _integer(fields, "number")
    if seen != number:
        raise BadAnswer(f"the node answered with block {seen}")
    listed = fields.get("transactions")
    if not isinstance(listed, list):
        raise BadAnswer("the block lists no transactions")
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

    Some chains add receipts that belong to no transaction of the block (system logs, state syncs); those are kept.

    Raises:
        BadAnswer: the answer lacks the receipt of one of the block's transactions, or is not of this block.
    """
    if isinstance(answers, NodeError):
        raise BadAnswer(f"error {answers.code} instead of receipts")
    if not isinstance(answers, list):
        raise BadAnswer("null instead of receipts" if answers is None else "no list of receipts")
    receipts = {}
    for item in answers:
        fields = _object(item, "receipt")
        if _data(fields, "blockHash", HASH_BYTES) != header.hash:
            raise BadAnswer("a receipt is of another block")
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
        raise BadAnswer(f"{len(answers)} receipts do not match the block's {len(header.transactions)} transactions")
    return receipts


def parse_logs(answer: object, header: Header) -> tuple[Log, ...]:
    """Return logs of one block.

    Raises:
        BadAnswer: they are none, or not of this block.
    """
    if isinstance(answer, NodeError):
        raise BadAnswer(f"error {answer.code} instead of logs")
    if not isinstance(answer, list):
        raise BadAnswer("no list of logs")
    logs = []
    for item in answer:
        fields = _object(item, "log")
        if _data(fields, "blockHash", HASH_BYTES) != header.hash:
            raise BadAnswer("a log is of another block")
        topics = fields.get("topics")
        if not isinstance(topics, list) or len(topics) > MOST_TOPICS:
            raise BadAnswer("a log has no list of topics")
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
    """Read one entry of a block's list: a hash, or the whole transaction, which some nodes send unasked."""
    return _bytes(item.get("hash") if isinstance(item, dict) else item, "a transaction's hash", HASH_BYTES)


def _optional_bloom(fields: dict[str, Any]) -> int | None:
    bloom = _optional_data(fields, "logsBloom", BLOOM_BYTES)
    return None if bloom is None else int.from_bytes(bloom, "big")


def _object(value: object, what: str) -> dict[str, Any]:
    if isinstance(value, NodeError):
        raise BadAnswer(f"error {value.code} instead of a {what}")
    if not isinstance(value, dict):
        raise BadAnswer(f"no {what}")
    return value


def quantity(value: object) -> int | None:
    """Read JSON-RPC's QUANTITY of at most 256 bits; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,64}", value):
        return int(value, 16)
    return None


def _integer(fields: dict[str, Any], name: str) -> int:
    value = quantity(fields.get(name))
    if value is None:
        raise BadAnswer(f"its {name} is no number")
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
    raise BadAnswer(f"{what} is not {'hexadecimal' if size is None else f'{size} bytes'}")
