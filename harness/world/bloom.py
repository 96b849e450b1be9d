"""The logs bloom of a block header: 2,048 bits, three for each address and topic (Yellow Paper, section 4.4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Crypto.Hash import keccak

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.world.model import Log

BLOOM_BITS = 2048


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """Return the 256 bytes of the bloom over some logs."""
    bits = 0
    for log in logs:
        for entry in (log.address, *log.topics):
            digest = keccak.new(digest_bits=256, data=entry).digest()
            for place in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[place : place + 2], "big") % BLOOM_BITS)
    return bits.to_bytes(BLOOM_BITS // 8, "big")
