"""Walks over structures in Thrift's compact protocol without building them, at a bounded cost.

Parquet's own reader allocates the sizes that a structure claims before it reads the data; a walk beforehand finds out
whether those sizes are acceptable. Source: thrift-compact-protocol.md of Apache Thrift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
SIZES_BYTES = {TRUE: 0, FALSE: 0, BYTE: 1, DOUBLE: 8}
"""Sizes of the types with a fixed size; a boolean field has its value in the type."""

MAX_DEPTH = 24
MAX_VARINT_BYTES = 10

ELEMENT_COST = 10
"""The cost of a structure or a list element, since a reader makes objects of them; a field costs 1."""


class Malformed(Exception):
    """The bytes are not a structure of this protocol, or the structure exceeds the budget."""


class Walker:
    """A position in some bytes that reading moves forward; `budget` limits the number of fields and elements."""

    def __init__(self, data: bytes | memoryview, position: int, *, end: int, budget: int) -> None:
        self.position = position
        self._data, self._end, self._budget = memoryview(data).cast("B"), end, budget

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and type of each field of a structure; the caller reads or skips each value.

        Raises:
            Malformed: as all methods.
        """
        self._spend(ELEMENT_COST)
        number = 0
        while (header := self._byte()) != 0:
            self._spend(1)
            number = number + (header >> 4) if header >> 4 else self._signed()
            yield number, header & 15

    def integer(self, kind: int) -> int:
        """Read an integer; a value of another type is malformed."""
        if kind not in {I16, I32, I64}:
            raise Malformed("a number is of another type")
        return self._signed()

    def list_header(self) -> tuple[int, int]:
        """Read a list's number of elements and their type."""
        header = self._byte()
        size = header >> 4
        if size == 15:  # noqa: PLR2004 - the mark of a longer list
            size = self._varint()
        if size * ELEMENT_COST > self._budget:
            raise Malformed(f"a list claims {size} elements")
        return size, header & 15

    def skip(self, kind: int, depth: int = 0) -> None:
        """Skip the value of a field."""
        if depth > MAX_DEPTH:
            raise Malformed("its structures are nested too deeply")
        if kind in {I16, I32, I64}:
            self._varint()
        elif kind in SIZES_BYTES:
            self._move(SIZES_BYTES[kind])
        elif kind == BINARY:
            self._move(self._varint())
        elif kind in {LIST, SET}:
            size, element = self.list_header()
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
            self._move(1)  # in a list a boolean has one byte
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
        self._budget -= cost
        if self._budget < 0:
            raise Malformed("it has more parts than any file of Cryo's")

    def _move(self, count: int) -> None:
        if count > self._end - self.position:
            raise Malformed("it ends within a value")
        self.position += count

    def _byte(self) -> int:
        self._move(1)
        return self._data[self.position - 1]

    def _varint(self) -> int:
        value = 0
        for position in range(MAX_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 127) << (7 * position)
            if byte < 128:  # noqa: PLR2004 - the highest bit is set if more bytes follow
                return value
        raise Malformed("a number is too long")

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
