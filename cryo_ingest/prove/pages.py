"""Refuses a Parquet file that would decode to more than its rows can need, before anything of it is decoded.

A file is untrusted: its footer can claim billions of rows, and a page of some bytes gigabytes, which the reader would
allocate at once. So each page's own header is walked over and held against the footer, and both against what a chunk
can hold. What real Cryo writes is known (real-cryo-0.3.2.md, section 6): flat columns, plain or by dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.errors import ProofFailed
from cryo_ingest.prove.compact import STRUCT, Malformed, Walker

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAX_ROWS = 1 << 28
"""Rows of one file: more than Cryo, which holds a chunk in memory at some hundred bytes a row, ever gets to write."""

MAX_ROWS_BY_CHAIN = 1 << 24
"""Rows of a file whose blocks are held against a node's, for which some bytes a row are kept: 16,777 a block."""

MAX_PAGE_BYTES = 512 * 1024**2
"""One page of byte strings, decompressed: as much as the default cap lets a whole file have."""

PAGES_BUDGET = 4_000_000
"""Enough for a hundred thousand pages; real ones have about a MiB."""

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "DOUBLE": 8}
"""Bytes of one value by its physical type; BYTE_ARRAY has no width of its own."""

MIN_STRING_BYTES = 4
"""A byte string in a page begins with its length."""

LEVEL_BYTES, PAGE_EXTRA_BYTES = 2, 4096
"""More than a value's level (is it null?) and a page's own overhead ever take."""

ENCODINGS = frozenset((0, 2, 3, 8))
"""PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY. DELTA_BYTE_ARRAY can repeat a long value for ever."""

DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3
PAGE_HEADS = {5: DATA_PAGE, 7: DICTIONARY_PAGE, 8: DATA_PAGE_V2}
"""The field of a page's header that tells more of each kind (parquet.thrift)."""

MAGIC_BYTES = 4


@dataclass(slots=True)
class _Page:
    """What a page's header says."""

    kind: int = -1
    size: int = -1
    stored: int = -1
    head: int = -1
    values: int = -1
    encoding: int = -1


def check_page_sizes(metadata: pq.FileMetaData, data: memoryview, *, name: str, most_rows: int) -> None:
    """Walk over all pages of a file whose schema has been judged.

    Raises:
        ProofFailed: counts contradict each other, or something would decode to more than it may.
    """
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if min(counts, default=0) < 0 or sum(counts) != metadata.num_rows:
        raise ProofFailed(file=name, evidence="its footer contradicts itself on the number of rows")
    if metadata.num_rows > most_rows:
        raise ProofFailed(file=name, evidence=f"its footer claims {metadata.num_rows} rows, more than any chunk has")
    walker = Walker(data, 0, len(data), budget=PAGES_BUDGET)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            try:
                _walk_pages(column, group.num_rows, walker, len(data))
            except Malformed as problem:
                evidence = f"column {column.path_in_schema} can't be decoded: {problem}"
                raise ProofFailed(file=name, evidence=evidence) from None


def _walk_pages(column: pq.ColumnChunkMetaData, rows: int, walker: Walker, file_bytes: int) -> None:
    if column.file_path or column.num_values != rows:
        raise Malformed(f"it has {column.num_values} values for {rows} rows")
    if rows == 0:
        return  # then pyarrow reads no page, and the offsets that it writes lead nowhere
    start = column.data_page_offset
    dictionary = column.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    end = start + column.total_compressed_size
    if not MAGIC_BYTES <= start <= end <= file_bytes:
        raise Malformed("its pages lie outside the file")
    walker.position, values = start, 0
    width = WIDTHS.get(column.physical_type)
    while walker.position < end:
        page = _read_page(walker)
        if not 0 <= page.stored <= end - walker.position:
            raise Malformed("a page is longer than its column")
        _check_page(page, width)
        walker.position += page.stored
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
            page.stored = walker.integer(kind)
        elif number in PAGE_HEADS and kind == STRUCT:
            page.head = PAGE_HEADS[number]
            _read_head(walker, page)
        else:
            walker.skip(kind)
    return page


def _read_head(walker: Walker, page: _Page) -> None:
    encoding = 4 if page.head == DATA_PAGE_V2 else 2
    for number, kind in walker.fields():
        if number == 1:
            page.values = walker.integer(kind)
        elif number == encoding:
            page.encoding = walker.integer(kind)
        else:
            walker.skip(kind)


def _check_page(page: _Page, width: int | None) -> None:
    if page.head != page.kind or page.values < 0 or page.encoding not in ENCODINGS:
        raise Malformed("a page is of a kind that Cryo does not write")
    if page.kind == DICTIONARY_PAGE and page.values * (width or MIN_STRING_BYTES) > max(page.size, 0):
        raise Malformed(f"a dictionary claims {page.values} values in {page.size} bytes")
    most = MAX_PAGE_BYTES if width is None else page.values * (width + LEVEL_BYTES) + PAGE_EXTRA_BYTES
    if not 0 <= page.size <= min(most, MAX_PAGE_BYTES):
        raise Malformed(f"a page of {page.values} values would decompress to {page.size} bytes")
