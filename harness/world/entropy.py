"""The source of every byte of the chain: SHAKE-128 over a key and a position, without state, clock or `random`.

SHAKE was chosen because `hashlib` of every Python has it and it gives the same bytes on every machine and version.
This module does not know what the bytes mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import shake_128
from struct import Struct

_POSITION = Struct(">cQI")
_SEALED = Struct(">II")
_POSITION_BYTES = 8

BLOCK, GAS, TRANSACTION, ACTOR, STATE, CODE = b"b", b"g", b"t", b"a", b"s", b"c"
"""The purposes of bytes; two purposes never get the same bytes."""


@dataclass(frozen=True, slots=True)
class Entropy:
    """A key, and the bytes that are derived from it."""

    key: bytes

    @classmethod
    def of(cls, *parts: object) -> Entropy:
        """Derive a key from the values that identify a chain, or one branch of it."""
        return cls(shake_128(":".join(map(str, ("harness.world", *parts))).encode()).digest(16))

    def bytes_at(self, purpose: bytes, high: int, low: int, size: int) -> bytes:
        """Return `size` bytes for a purpose at a position: (block, transaction) or any other pair of numbers."""
        return shake_128(self.key + _POSITION.pack(purpose, high, low)).digest(size)

    def bytes_for(self, purpose: bytes, name: bytes, size: int = 32) -> bytes:
        """Return `size` bytes for a purpose and a name of any length."""
        return shake_128(self.key + purpose + name).digest(size)

    def seal(self, label: bytes, number: int, index: int, *, size: int = 32) -> bytes:
        """Return a hash, or an address of 20 bytes, that looks random and encodes (number, index).

        `unseal` decodes the position, so that a block, transaction or contract is found by its hash without an index.
        """
        label = label[: size - _POSITION_BYTES]
        mask = shake_128(self.key + label).digest(_POSITION_BYTES)
        position = int.from_bytes(_SEALED.pack(number, index), "big") ^ int.from_bytes(mask, "big")
        return label + position.to_bytes(_POSITION_BYTES, "big")

    def unseal(self, sealed: bytes) -> tuple[int, int]:
        """Return the (number, index) in a sealed hash; the caller checks that the hash was made with this key."""
        mask = shake_128(self.key + sealed[:-_POSITION_BYTES]).digest(_POSITION_BYTES)
        position = int.from_bytes(sealed[-_POSITION_BYTES:], "big") ^ int.from_bytes(mask, "big")
        number, index = _SEALED.unpack(position.to_bytes(_POSITION_BYTES, "big"))
        return number, index
