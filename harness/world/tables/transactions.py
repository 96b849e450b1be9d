"""The dataset `transactions`: one row per transaction, with the outcome from its receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain

FIELDS = (
    "block_number",
    "transaction_index",
    "transaction_hash",
    "nonce",
    "from_address",
    "to_address",
    "value",
    "input",
    "gas_limit",
    "gas_used",
    "gas_price",
    "transaction_type",
    "max_priority_fee_per_gas",
    "max_fee_per_gas",
    "success",
    "n_input_bytes",
    "n_input_zero_bytes",
    "n_input_nonzero_bytes",
)


def rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield a block's transactions by index."""
    for transaction in chain.transactions(number):
        data = transaction.input
        zeros = data.count(0)
        yield (
            number,
            transaction.transaction_index,
            transaction.hash,
            transaction.nonce,
            transaction.sender,
            transaction.to,
            transaction.value,
            data,
            transaction.gas_limit,
            transaction.gas_used,
            transaction.gas_price,
            transaction.type,
            transaction.max_priority_fee_per_gas,
            transaction.max_fee_per_gas,
            transaction.success,
            len(data),
            zeros,
            len(data) - zeros,
        )
