"""Rejects a Parquet file that would decode to more data than its rows can need, before any of it is decoded.

A file is untrusted: its footer can claim billions of rows, and a page of a few bytes can claim gigabytes, which the
reader would allocate at once. So each page's header is compared with the footer, and both with the maximum of a chunk.
Real Cryo writes flat columns, plain or with a dictionary (measured on Cryo 0.3.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.errors import ProofFailed
from cryo_ingest.prove.compact import STRUCT, Malformed, Walker

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAX_ROWS = 1 << 28
"""Rows of one file. Cryo holds a chunk in memory, at some hundred bytes a row, so it never writes this many."""

MAX_ROWS_BY_CHAIN = 1 << 24
"""Rows of a file that is compared with a node, which keeps some bytes for each row: 16,777 a block."""

MAX_PAGE_BYTES = 512 * 1024**2
"""One page of byte strings, decompressed: the default cap on a complete file."""

PAGES_BUDGET = 4_000_000
"""Enough for a hundred thousand pages; a real page has about 1 MiB."""

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "DOUBLE": 8}
"""Bytes of one value by its physical type; BYTE_ARRAY has no fixed width."""

MIN_STRING_BYTES = 4
"""A byte string in a page starts with its length."""

LEVEL_BYTES, PAGE_EXTRA_BYTES = 2, 4096
"""Upper bounds of the size of a value's definition level (is it null?) and of a page's overhead."""

ENCODINGS = frozenset((0, 2, 3, 8))
"""PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY. DELTA_BYTE_ARRAY can repeat a long value without limit."""

DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3
PAGE_HEADERS = {5: DATA_PAGE, 7: DICTIONARY_PAGE, 8: DATA_PAGE_V2}
"""The field of a page header that holds the header of each kind (parquet.thrift)."""

MAGIC_BYTES = 4


@dataclass(slots=True)
class _Page:
    """The fields of a page header."""

    kind: int = -1
    size: int = -1
    compressed_size: int = -1
    header_kind: int = -1
    values: int = -1
    encoding: int = -1


def check_page_sizes(metadata: pq.FileMetaData, data: memoryview, *, name: str, max_rows: int) -> None:
    """Check the pages of a file whose schema has been checked.

    Raises:
        ProofFailed: counts contradict each other, or a page would decode to too much data.
    """
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if min(counts, default=0) < 0 or sum(counts) != metadata.num_rows:
        raise ProofFailed(file=name, evidence="its footer has contradictory numbers of rows")
    if metadata.num_rows > max_rows:
        raise ProofFailed(file=name, evidence=f"its footer claims {metadata.num_rows} rows, more than any chunk has")
    walker = Walker(data, 0, end=len(data), budget=PAGES_BUDGET)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            try:
                _walk_pages(column, group.num_rows, walker, len(data))
            except Malformed as problem:
                evidence = f"column {column.path_in_schema} can't be decoded: {problem}"
                raise ProofFailed(file=name, evidence=evidence) from None


def _walk_pages(column: pq.ColumnChunkMetaData, rows: int, walker: Walker, file_bytes: int) -> None:
    if column.file_path or column.num_values != rows:
        raise Malformed(f"it has {column.num_values} values for {rows} rows")
    if rows == 0:
        return  # then pyarrow reads no page, and the offsets that it writes are invalid
    start = column.data_page_offset
    dictionary = column.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    end = start + column.total_compressed_size
    if not MAGIC_BYTES <= start <= end <= file_bytes:
        raise Malformed("its pages are outside the file")
    walker.position, values = start, 0
    width = WIDTHS.get(column.physical_type)
    while walker.position < end:
        page = _read_page(walker)
        if not 0 <= page.compressed_size <= end - walker.position:
            raise Malformed("a page is longer than its column")
        _check_page(page, width)
        walker.position += page.compressed_size
        values += page.values if page.kind != DICTIONARY_PAGE else 0
    if values != rows:
        raise Malformed(f"its pages hold {values} values for {rows} rows")


def _read_page(walker: Walker) -> _Page:
    page = _Page()
    for number, kind in walker.fields():
        if number == 1:
            page.kind = walker.integer(kind)
        elif number == 2:  # noqa: PLR2004 - parquet.thrift's numbers, as all below
            page.size = walker.integer(kind)
        elif number == 3:  # noqa: PLR2004
            page.compressed_size = walker.integer(kind)
        elif number in PAGE_HEADERS and kind == STRUCT:
            page.header_kind = PAGE_HEADERS[number]
            _read_kind_header(walker, page)
        else:
            walker.skip(kind)
    return page


def _read_kind_header(walker: Walker, page: _Page) -> None:
    encoding = 4 if page.header_kind == DATA_PAGE_V2 else 2
    for number, kind in walker.fields():
        if number == 1:
            page.values = walker.integer(kind)
        elif number == encoding:
            page.encoding = walker.integer(kind)
        else:
            walker.skip(kind)


def _check_page(page: _Page, width: int | None) -> None:
    if page.header_kind != page.kind or page.values < 0 or page.encoding not in ENCODINGS:
        raise Malformed("a page is of a kind that Cryo does not write")
    if page.kind == DICTIONARY_PAGE and page.values * (width or MIN_STRING_BYTES) > max(page.size, 0):
        raise Malformed(f"a dictionary claims {page.values} values in {page.size} bytes")
    max_size = MAX_PAGE_BYTES if width is None else page.values * (width + LEVEL_BYTES) + PAGE_EXTRA_BYTES
    if not 0 <= page.size <= min(max_size, MAX_PAGE_BYTES):
        raise Malformed(f"a page of {page.values} values would decompress to {page.size} bytes")
