"""What a chain consists of: values only. Amounts are in wei, times in seconds since the epoch, hashes 32 raw bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Log:
    """One event; `index` counts through the whole block."""

    index: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction together with what its receipt says of it.

    `to` is None for a contract creation, which then has a `contract_address`; the two fee fields are None for types
    that have none.
    """

    index: int
    hash: bytes
    type: int
    nonce: int
    sender: bytes
    to: bytes | None
    contract_address: bytes | None
    value: int
    input: bytes
    gas_limit: int
    gas_used: int
    gas_price: int
    max_priority_fee: int | None
    max_fee: int | None
    succeeded: bool
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A block; `base_fee` is None before the chain's fee fork."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    author: bytes
    extra_data: bytes
    base_fee: int | None
    gas_limit: int
    transactions: tuple[Transaction, ...]

    @property
    def gas_used(self) -> int:
        """The gas of all its transactions."""
        return sum(transaction.gas_used for transaction in self.transactions)

    @property
    def logs(self) -> list[tuple[Transaction, Log]]:
        """Every log with its transaction, in order."""
        return [(transaction, log) for transaction in self.transactions for log in transaction.logs]
