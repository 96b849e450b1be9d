"""Keccak-256 and the logs bloom of the yellow paper (section 4.3.1): genuine, unlike the block hashes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import sha3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.world.values import Log

BLOOM_BYTES = 256


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 digest as Ethereum uses it; NIST's SHA3-256 differs."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


@lru_cache(maxsize=1 << 16)
def bloom_bits(item: bytes) -> int:
    """Return the bloom of one address or topic as an integer with three bits set (fewer where they coincide)."""
    digest = keccak256(item)
    bits = 0
    for offset in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[offset : offset + 2], "big") & 2047)
    return bits


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """Return the 256-byte bloom of all addresses and topics of some logs."""
    bits = 0
    for log in logs:
        bits |= bloom_bits(log.address)
        for topic in log.topics:
            bits |= bloom_bits(topic)
    return bits.to_bytes(BLOOM_BYTES, "big")
