"""Deterministic bytes and numbers: the only source of variety in the chain.

BLAKE2b rather than `random`: its output is fixed by its definition, so a block is the same on every machine and version
of Python.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

BLOCK_BYTES = 64


class Draws:
    """An endless stream of bytes, wholly decided by the labels that it is made with."""

    def __init__(self, *labels: int | str) -> None:
        self._key = "/".join(map(str, labels)).encode()
        self._buffer = b""
        self._counter = 0

    def bytes(self, count: int) -> bytes:
        """Draw `count` bytes."""
        while len(self._buffer) < count:
            counted = self._key + b"#%d" % self._counter
            self._buffer += hashlib.blake2b(counted, digest_size=BLOCK_BYTES).digest()
            self._counter += 1
        drawn, self._buffer = self._buffer[:count], self._buffer[count:]
        return drawn

    def below(self, limit: int) -> int:
        """Draw a number from 0 up to but not including `limit`, at most 2^32."""
        return int.from_bytes(self.bytes(6), "big") % limit

    def choice(self, options: Sequence[T]) -> T:
        """Draw one of a few options."""
        return options[self.below(len(options))]
