"""The values of a chain: headers, transactions, logs, call frames.

Values of which a block has hundreds are named tuples, because creating a frozen dataclass takes four times as long;
the others are frozen dataclasses. Their JSON is in `fakes/rpc`, their rows in Cryo's tables are in `world/tables`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

ZERO_ADDRESS = bytes(20)
ZERO_HASH = bytes(32)
MAX_UINT256 = 2**256 - 1


@dataclass(frozen=True, slots=True)
class Header:
    """One block without its transactions; `base_fee_per_gas` is None before the fork that introduced it."""

    number: int
    hash: bytes
    parent_hash: bytes
    author: bytes
    timestamp: int
    gas_limit: int
    gas_used: int
    base_fee_per_gas: int | None
    extra_data: bytes
    size: int
    total_difficulty: int
    transaction_count: int


class Transaction(NamedTuple):
    """A transaction and the outcome in its receipt; its program reads `random_bytes`.

    `to` is None if it creates a contract; the two fee caps are None for types without them.
    """

    block_number: int
    transaction_index: int
    hash: bytes
    random_bytes: bytes
    program: int
    sender: bytes
    to: bytes | None
    nonce: int
    value: int
    input: bytes
    gas_limit: int
    gas_used: int
    gas_price: int
    type: int
    max_priority_fee_per_gas: int | None
    max_fee_per_gas: int | None
    success: bool


class Log(NamedTuple):
    """One event: 0 to 4 topics of 32 bytes, data of any length."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


class PlacedLog(NamedTuple):
    """A log with its transaction and index; `in_bloom` is False if the header's bloom does not contain it."""

    transaction: Transaction
    log_index: int
    log: Log
    in_bloom: bool


class Frame(NamedTuple):
    """One call, creation or self-destruction, with its inner calls.

    `op` is the name of the opcode. `to` is the callee, the created contract (None if the creation failed), or the
    beneficiary of a self-destruction; `output` is the return data, the deployed code, or the revert data. `error` is
    None, "revert" or "out of gas", which `fakes/rpc` translates into the terms of geth and Parity.
    """

    op: str
    sender: bytes
    to: bytes | None
    value: int
    gas: int
    gas_used: int
    input: bytes
    output: bytes
    error: str | None
    calls: tuple[Frame, ...]


class Access(NamedTuple):
    """One storage slot that a transaction read, and whether it also wrote it."""

    address: bytes
    slot: bytes
    written: bool
