"""The logs bloom of the yellow paper (section 4.3.1), as an integer of 2,048 bits."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import sha3

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL_SET = (1 << 2048) - 1


def bloom_of(items: Iterable[bytes]) -> int:
    """Return the bloom of some addresses and topics."""
    bits = 0
    for item in items:
        bits |= _bits(item)
    return bits


def contains(bloom: int, item: bytes) -> bool:
    """Return whether a bloom may contain an address or a topic."""
    return bloom & _bits(item) == _bits(item)


@lru_cache(maxsize=1 << 16)
def _bits(item: bytes) -> int:
    digest = sha3.keccak_256(item).digest()
    positions = {int.from_bytes(digest[start : start + 2], "big") & 2047 for start in (0, 2, 4)}
    return sum(1 << position for position in positions)
