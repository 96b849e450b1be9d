"""The dataset `logs`: one row per log; missing topics are null."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain

FIELDS = (
    "block_number",
    "transaction_index",
    "log_index",
    "transaction_hash",
    "address",
    "topic0",
    "topic1",
    "topic2",
    "topic3",
    "data",
)

_MISSING: tuple[tuple[None, ...], ...] = tuple((None,) * (4 - count) for count in range(5))


def rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield a block's logs by log index."""
    for transaction, log_index, (address, topics, data), _ in chain.logs(number):
        yield (
            number,
            transaction.transaction_index,
            log_index,
            transaction.hash,
            address,
            *topics,
            *_MISSING[len(topics)],
            data,
        )
