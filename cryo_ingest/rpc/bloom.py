"""The logs bloom of a block, as in section 4.3.1 of the yellow paper, as integers of 2048 bits."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import sha3

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL_SET = (1 << 2048) - 1
"""The bloom of chains that set every bit of every bloom (zkSync)."""

TRANSFER_TOPIC = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""keccak256("Transfer(address,address,uint256)"): the first topic of ERC-20's and ERC-721's transfers."""


@lru_cache(maxsize=1 << 15)
def bits_of(item: bytes) -> int:
    """Return the bits that an address or topic sets: three, fewer where they coincide."""
    digest = sha3.keccak_256(item).digest()
    bits = 0
    for offset in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[offset : offset + 2], "big") & 2047)
    return bits


def may_contain(bloom: int, item: bytes) -> bool:
    """Return whether a bloom may contain an item."""
    bits = bits_of(item)
    return bloom & bits == bits


def bloom_of_logs(logs: Iterable[Iterable[bytes]]) -> int:
    """Return the bloom of some logs, each given as its address and topics."""
    bloom = 0
    for log in logs:
        for item in log:
            bloom |= bits_of(item)
    return bloom
