"""The datasets `erc20_transfers` and `erc721_transfers`: Transfer logs with the exact shape of either standard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.programs.base import TRANSFER_EVENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain

_LOCATION = ("block_number", "transaction_index", "log_index", "transaction_hash")
ERC20_FIELDS = (*_LOCATION, "erc20", "from_address", "to_address", "value")
ERC721_FIELDS = (*_LOCATION, "erc20", "from_address", "to_address", "token_id")


def erc20_rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield the transfers with three topics and 32 bytes of data."""
    return _rows(chain, number, topics=3, data_bytes=32)


def erc721_rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield the transfers with four topics and no data."""
    return _rows(chain, number, topics=4, data_bytes=0)


def _rows(chain: Chain, number: int, *, topics: int, data_bytes: int) -> Iterator[tuple[object, ...]]:
    for transaction, log_index, log, _ in chain.logs(number):
        if len(log.topics) != topics or len(log.data) != data_bytes or log.topics[0] != TRANSFER_EVENT:
            continue
        yield (
            number,
            transaction.transaction_index,
            log_index,
            transaction.hash,
            log.address,
            log.topics[1][12:],
            log.topics[2][12:],
            int.from_bytes(log.data or log.topics[3], "big"),
        )
