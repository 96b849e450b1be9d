"""The dataset `blocks`: one row per block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.world.chain import Chain

FIELDS = ("block_hash", "author", "block_number", "gas_used", "extra_data", "timestamp", "base_fee_per_gas")


def rows(chain: Chain, number: int) -> tuple[tuple[object, ...], ...]:
    """Return the row of a block."""
    header = chain.header(number)
    return (
        (
            header.hash,
            header.author,
            number,
            header.gas_used,
            header.extra_data,
            header.timestamp,
            header.base_fee_per_gas,
        ),
    )
