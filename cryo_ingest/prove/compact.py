"""Walks over structures in Thrift's compact protocol without building them, at a cost that is bounded beforehand.

Parquet's own reader allocates what such a structure claims before it looks at what is there; whoever has walked over
it first knows how much that will be. Source: thrift-compact-protocol.md of Apache Thrift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
SIZES_BYTES = {TRUE: 0, FALSE: 0, BYTE: 1, DOUBLE: 8}
"""Of what has one size; a field's type is its truth value."""

MAX_DEPTH = 24
MAX_VARINT_BYTES = 10

ELEMENT_COST = 10
"""What a structure or a list's element costs of a budget, since a reader makes objects of them; a field costs one."""


class Malformed(Exception):
    """What was walked over is no such structure, or more than the budget allows; the message says so in few words."""


class Walker:
    """A place in some bytes, moved on by reading; `budget` bounds how many fields and elements are walked over."""

    def __init__(self, data: bytes | memoryview, position: int, end: int, *, budget: int) -> None:
        self.position = position
        self._data, self._end, self._left = memoryview(data).cast("B"), end, budget

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and type of each field of a structure; whoever asks reads or skips the value before the next.

        Raises:
            Malformed: as all that is read here.
        """
        self._spend(ELEMENT_COST)
        number = 0
        while (head := self._byte()) != 0:
            self._spend(1)
            number = number + (head >> 4) if head >> 4 else self._signed()
            yield number, head & 15

    def integer(self, kind: int) -> int:
        """Read an integer; a value of another type is refused."""
        if kind not in {I16, I32, I64}:
            raise Malformed("a number is of another type")
        return self._signed()

    def list_head(self) -> tuple[int, int]:
        """Read a list's number of elements and their type."""
        head = self._byte()
        size = head >> 4
        if size == 15:  # noqa: PLR2004 - longer lists say so by 15
            size = self._varint()
        if size * ELEMENT_COST > self._left:
            raise Malformed(f"a list claims {size} elements")
        return size, head & 15

    def skip(self, kind: int, depth: int = 0) -> None:
        """Walk over the value of a field."""
        if depth > MAX_DEPTH:
            raise Malformed("its structures nest too deep")
        if kind in {I16, I32, I64}:
            self._varint()
        elif kind in SIZES_BYTES:
            self._move(SIZES_BYTES[kind])
        elif kind == BINARY:
            self._move(self._varint())
        elif kind in {LIST, SET}:
            size, element = self.list_head()
            for _ in range(size):
                self._skip_element(element, depth)
        elif kind == MAP:
            self._skip_map(depth)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        else:
            raise Malformed("a field has an unknown type")

    def _skip_element(self, kind: int, depth: int) -> None:
        self._spend(ELEMENT_COST)
        if kind in {TRUE, FALSE}:
            self._move(1)  # in a list a truth value is a byte of its own
        else:
            self.skip(kind, depth + 1)

    def _skip_map(self, depth: int) -> None:
        size = self._varint()
        if size:
            kinds = self._byte()
            for _ in range(size):
                self._skip_element(kinds >> 4, depth)
                self._skip_element(kinds & 15, depth)

    def _spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise Malformed("it has more parts than any of Cryo's")

    def _move(self, count: int) -> None:
        if count > self._end - self.position:
            raise Malformed("it ends within a value")
        self.position += count

    def _byte(self) -> int:
        self._move(1)
        return self._data[self.position - 1]

    def _varint(self) -> int:
        value = 0
        for place in range(MAX_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 127) << (7 * place)
            if byte < 128:  # noqa: PLR2004 - the highest bit says that more follow
                return value
        raise Malformed("a number is too long")

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
