"""Where every byte of the chain comes from: SHAKE-128 over a key and a position. No state, no clock, no `random`.

SHAKE is in every Python's `hashlib` and gives the same bytes on every machine and version; that is the whole reason
for it. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import shake_128
from struct import Struct

_POSITION = Struct(">cQI")
_SEALED = Struct(">II")
_HIDDEN_BYTES = 8

BLOCK, GAS, TRANSACTION, ACTOR, STATE, CODE = b"b", b"g", b"t", b"a", b"s", b"c"
"""The purposes that draw bytes, so that no two of them ever see the same ones."""


@dataclass(frozen=True, slots=True)
class Entropy:
    """A key, and all the bytes that follow from it."""

    key: bytes

    @classmethod
    def of(cls, *parts: object) -> Entropy:
        """Derive a key from whatever tells one chain (or one branch of it) from another."""
        return cls(shake_128(":".join(map(str, ("harness.world", *parts))).encode()).digest(16))

    def draw(self, purpose: bytes, high: int, low: int, size: int) -> bytes:
        """Return `size` bytes for a purpose at a position: (block, transaction) or any other pair of numbers."""
        return shake_128(self.key + _POSITION.pack(purpose, high, low)).digest(size)

    def label(self, purpose: bytes, name: bytes, size: int = 32) -> bytes:
        """Return `size` bytes for a purpose and a name of any length."""
        return shake_128(self.key + purpose + name).digest(size)

    def seal(self, label: bytes, number: int, index: int, *, size: int = 32) -> bytes:
        """Return a hash (or an address, of 20 bytes) that looks like any other and hides (number, index).

        It is what lets a chain without an index answer for a block, a transaction or a contract by its name: `unseal`
        finds the position again.
        """
        label = label[: size - _HIDDEN_BYTES]
        mask = shake_128(self.key + label).digest(_HIDDEN_BYTES)
        position = int.from_bytes(_SEALED.pack(number, index), "big") ^ int.from_bytes(mask, "big")
        return label + position.to_bytes(_HIDDEN_BYTES, "big")

    def unseal(self, sealed: bytes) -> tuple[int, int]:
        """Return the (number, index) that a name would hide if it were this key's; the caller checks that it is."""
        mask = shake_128(self.key + sealed[:-_HIDDEN_BYTES]).digest(_HIDDEN_BYTES)
        position = int.from_bytes(sealed[-_HIDDEN_BYTES:], "big") ^ int.from_bytes(mask, "big")
        number, index = _SEALED.unpack(position.to_bytes(_HIDDEN_BYTES, "big"))
        return number, index
