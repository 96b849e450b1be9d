"""Checks a Parquet footer: its structure, its columns against the pinned schema, and the mark of fake data.

A footer is untrusted: it is walked over before pyarrow reads it, which takes a hundred times its size in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from cryo_ingest.errors import ProofFailed, UnexpectedSchema
from cryo_ingest.prove.compact import LIST, Malformed, Walker

if TYPE_CHECKING:
    from cryo_ingest.datasets import Dataset

FAKE_MARK = b"cryo_ingest.fake"
"""The key-value metadata that fake data carries with the value `true` (MOD-5)."""

UNREADABLE = (pa.ArrowException, OSError, ValueError)
"""The exceptions of pyarrow for a malformed file; ValueError if a column's name is not UTF-8."""

TAIL_BYTES = 8
"""The end of a file: the footer's length in four bytes, and the magic bytes `PAR1`."""

MAX_FOOTER_BYTES = 64 * 1024**2
"""Real footers have kilobytes, and each column's longest byte string in its statistics."""

MAX_SCHEMA_ELEMENTS = 256
"""The pinned schemas are flat and have 21 columns at most; pyarrow recurses into nested ones."""

FOOTER_BUDGET = 1_000_000
"""Enough for 600 row groups of 13 columns, which are more rows than any file may have."""

LISTED_DIFFERENCES, MAX_NAME = 20, 80
"""How much of an unknown schema a message repeats."""

_SCHEMA_FIELD = 2


def check_footer_size(tail: bytes | memoryview) -> None:
    """Walk over the footer at the end of some bytes.

    Raises:
        Malformed: there is no footer, or it has more parts than Cryo's files have.
    """
    if len(tail) < TAIL_BYTES or bytes(tail[-4:]) != b"PAR1":
        raise Malformed("the file does not end with PAR1")
    length = int.from_bytes(tail[-TAIL_BYTES:-4], "little")
    end = len(tail) - TAIL_BYTES
    if length > min(end, MAX_FOOTER_BYTES):
        raise Malformed(f"it claims {length} bytes")
    walker = Walker(tail, end - length, end=end, budget=FOOTER_BUDGET)
    for number, kind in walker.fields():
        if number == _SCHEMA_FIELD and kind == LIST:
            start = walker.position
            size, _ = walker.list_header()
            if size > MAX_SCHEMA_ELEMENTS:
                raise Malformed(f"its schema claims {size} elements")
            walker.position = start
        walker.skip(kind)


def read_footer(footer: bytes) -> pq.FileMetaData | None:
    """Parse the footer in a file's last bytes; None if there is no complete one."""
    try:
        check_footer_size(footer)
        return pq.read_metadata(pa.BufferReader(footer))
    except (Malformed, *UNREADABLE):
        return None


def has_fake_mark(metadata: pq.FileMetaData) -> bool:
    """Return whether a file is marked as fake data."""
    return (metadata.metadata or {}).get(FAKE_MARK) == b"true"


def open_parquet(source: pa.Buffer, name: str) -> pq.ParquetFile:
    """Open a file that is mapped into memory; its columns are not checked yet.

    Raises:
        ProofFailed: it is not a readable Parquet file.
    """
    try:
        check_footer_size(memoryview(source))
        return pq.ParquetFile(pa.BufferReader(source), pre_buffer=False)
    except (Malformed, *UNREADABLE) as error:
        raise ProofFailed(file=name, evidence=f"its footer can't be read ({first_line(error)})") from None


def check_schema(parquet: pq.ParquetFile, dataset: Dataset, *, name: str, executable: str) -> None:
    """Compare names, order and types of the columns with the pinned schema.

    Raises:
        UnexpectedSchema: they differ; lists the differences.
    """
    try:
        actual = [(column.name[:MAX_NAME], str(column.type)[:MAX_NAME]) for column in parquet.schema_arrow]
    except UNREADABLE as error:
        raise ProofFailed(file=name, evidence=f"its schema can't be read ({first_line(error)})") from None
    differences = schema_differences(actual, dataset.columns)
    if len(differences) > LISTED_DIFFERENCES:
        differences[LISTED_DIFFERENCES:] = [f"and {len(differences) - LISTED_DIFFERENCES} more differences"]
    if differences:
        raise UnexpectedSchema(file=name, dataset=dataset.name, differences=differences, executable=executable)


def schema_differences(actual: list[tuple[str, str]], pinned: tuple[tuple[str, str], ...]) -> list[str]:
    """List the differences between columns (name, Arrow type) and the pinned ones; empty means equal."""
    actual_types, pinned_types = dict(actual), dict(pinned)
    differences = [f"column {name} is missing" for name in pinned_types if name not in actual_types]
    differences += [f"column {name} is not expected" for name in actual_types if name not in pinned_types]
    differences += [
        f"column {name} is {actual_types[name]}, not {pinned_types[name]}"
        for name in pinned_types
        if name in actual_types and actual_types[name] != pinned_types[name]
    ]
    if not differences and [name for name, _ in actual] != [name for name, _ in pinned]:
        differences.append("the columns are in another order")
    return differences


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text, at most 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
