"""Writes Parquet files by hand, so that any part can be wrong: pages, headers and footer in compact Thrift.

A file has one row group with a dataset's columns, all required; a `Column` replaces a valid column.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from cryo_ingest.datasets import all_datasets

I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
PHYSICAL = {"uint32": 1, "uint64": 2, "double": 5, "bool": 0, "large_binary": 6, "large_string": 6}
CONVERTED = {"uint32": 13, "uint64": 14, "large_string": 0}
PLAIN, RLE, RLE_DICTIONARY, DELTA_BYTE_ARRAY = 0, 3, 8, 7
UNCOMPRESSED, GZIP = 0, 2


def varint(value: int) -> bytes:
    """Return an unsigned number in groups of seven bits."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def number(value: int) -> bytes:
    """Return a signed number, zigzag."""
    return varint((value << 1) ^ (value >> 63))


def struct(*fields: tuple[int, int, bytes]) -> bytes:
    """Return a structure of fields (number, type, value), each number written out."""
    return b"".join(bytes([kind]) + number(index) + value for index, kind, value in fields) + b"\0"


def listed(kind: int, items: list[bytes], claimed: int | None = None) -> bytes:
    """Return a list, which may claim to be longer than it is."""
    return bytes([0xF0 | kind]) + varint(len(items) if claimed is None else claimed) + b"".join(items)


def text(value: bytes) -> bytes:
    """Return a byte string with its length."""
    return varint(len(value)) + value


@dataclass
class Page:
    """One page; `size` is its decompressed size according to its header."""

    body: bytes
    values: int
    encoding: int = PLAIN
    dictionary: bool = False
    size: int | None = None

    def to_bytes(self) -> bytes:
        """Return header and body."""
        fields = [(1, I32, number(self.values)), (2, I32, number(self.encoding))]
        if not self.dictionary:
            fields += [(3, I32, number(RLE)), (4, I32, number(RLE))]
        header = struct(
            (1, I32, number(2 if self.dictionary else 0)),
            (2, I32, number(len(self.body) if self.size is None else self.size)),
            (3, I32, number(len(self.body))),
            (7 if self.dictionary else 5, STRUCT, struct(*fields)),
        )
        return header + self.body


@dataclass
class Column:
    """A column of a forged file."""

    pages: list[Page]
    values: int | None = None
    codec: int = UNCOMPRESSED


@dataclass
class Forged:
    """A file of a dataset, with its differences from a valid file."""

    rows: int
    columns: dict[str, Column] = field(default_factory=dict)
    claimed_rows: int | None = None
    groups: int = 1
    claimed_groups: int | None = None
    column_metadata: bool = True
    change_footer: Callable[[bytes], bytes] = bytes


def zeros(arrow: str, rows: int) -> Column:
    """Return a column of zeros or empty strings in a few bytes: all refer to the one entry of a dictionary."""
    width = {"uint32": 4, "bool": 1, "large_binary": 4, "large_string": 4}.get(arrow, 8)
    return one_value(bytes(width), rows) if arrow != "bool" else Column([Page(bytes(-(-rows // 8)), rows)])


def one_value(value: bytes, rows: int) -> Column:
    """Return a column whose rows all refer to the one entry of a dictionary."""
    run = bytes([1]) + varint(rows << 1) + b"\0"
    return Column([Page(value, 1, dictionary=True), Page(run, rows, RLE_DICTIONARY)])


def forge(path: Path, dataset: str, forged: Forged) -> Path:
    """Write a forged file."""
    pinned = all_datasets()[dataset].columns
    content, chunks = bytearray(b"PAR1"), []
    for name, arrow in pinned:
        column = forged.columns.get(name) or zeros(arrow, forged.rows)
        metadata = _column_chunk(content, column, name, PHYSICAL[arrow], forged.rows)
        chunks.append(metadata if forged.column_metadata else struct((2, I64, number(4))))
    group = struct((1, LIST, listed(STRUCT, chunks)), (2, I64, number(1)), (3, I64, number(forged.rows)))
    schema = pa.schema([(name, pa.type_for_alias(arrow)) for name, arrow in pinned])
    mark = struct(
        (1, BINARY, text(b"ARROW:schema")), (2, BINARY, text(base64.b64encode(schema.serialize().to_pybytes())))
    )
    elements = [struct((4, BINARY, text(b"root")), (5, I32, number(len(pinned))))]
    for name, arrow in pinned:
        element: list[tuple[int, int, bytes]] = [(1, I32, number(PHYSICAL[arrow])), (3, I32, number(0))]
        element.append((4, BINARY, text(name.encode())))
        if arrow in CONVERTED:
            element.append((6, I32, number(CONVERTED[arrow])))
        elements.append(struct(*element))
    all_rows = forged.rows * forged.groups if forged.claimed_rows is None else forged.claimed_rows
    footer = struct(
        (1, I32, number(2)),
        (2, LIST, listed(STRUCT, elements)),
        (3, I64, number(all_rows)),
        (4, LIST, listed(STRUCT, [group] * forged.groups, forged.claimed_groups)),
        (5, LIST, listed(STRUCT, [mark])),
    )
    footer = forged.change_footer(footer)
    path.write_bytes(bytes(content) + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    return path


def _column_chunk(content: bytearray, column: Column, name: str, physical: int, rows: int) -> bytes:
    """Append a column's pages, and return their entry in the footer."""
    start, offsets = len(content), []
    for page in column.pages:
        offsets.append(len(content))
        content += page.to_bytes()
    fields: list[tuple[int, int, Any]] = [
        (1, I32, number(physical)),
        (2, LIST, listed(I32, [number(PLAIN)])),
        (3, LIST, listed(BINARY, [text(name.encode())])),
        (4, I32, number(column.codec)),
        (5, I64, number(rows if column.values is None else column.values)),
        (6, I64, number(len(content) - start)),
        (7, I64, number(len(content) - start)),
        (9, I64, number(offsets[1] if column.pages[0].dictionary else offsets[0])),
    ]
    if column.pages[0].dictionary:
        fields.append((11, I64, number(offsets[0])))
    return struct((2, I64, number(start)), (3, STRUCT, struct(*fields)))
