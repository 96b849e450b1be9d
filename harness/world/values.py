"""What the chain is made of: headers, transactions, logs, call frames. Values only.

Named tuples where a block holds hundreds of them (a frozen dataclass costs four times as much to make), frozen
dataclasses elsewhere. How nodes spell them as JSON is `fakes/rpc`'s, how Cryo tabulates them `world/tables`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

ZERO_ADDRESS = bytes(20)
ZERO_HASH = bytes(32)
MAX_UINT256 = 2**256 - 1


@dataclass(frozen=True, slots=True)
class Header:
    """One block without its transactions; `base_fee_per_gas` is None before the fork that brought it."""

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
    """A transaction and its receipt's outcome; `draw` is the randomness that its program reads.

    `to` is None where it creates a contract; the two fee caps are None for types that have none.
    """

    block_number: int
    transaction_index: int
    hash: bytes
    draw: bytes
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
    """A log where it lies in its block; `in_bloom` is False for one that the header's bloom leaves out."""

    transaction: Transaction
    log_index: int
    log: Log
    in_bloom: bool


class Frame(NamedTuple):
    """One call, creation or self-destruction, and what it called.

    `op` is the opcode's name. `to` is the callee, the created contract (None where the creation failed), or the heir;
    `output` the return data, the deployed code, or the revert data. `error` is None or a key of `fakes/rpc`'s two
    dialects of failure: "revert" or "out of gas".
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
    """One storage slot that a transaction looked at, and whether it changed it."""

    address: bytes
    slot: bytes
    written: bool
