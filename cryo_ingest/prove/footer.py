"""What a Parquet footer says: is it one, are its columns the pinned ones, does it bear the mark of fake data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from cryo_ingest.errors import ProofFailed, SchemaDrift

if TYPE_CHECKING:
    from cryo_ingest.datasets import Dataset

FAKE_MARK = b"cryo_ingest.fake"
"""The key-value metadata that fake data carries with the value `true` (MOD-5)."""


UNREADABLE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises over a malformed file; ValueError for the name of a column that is no UTF-8."""


def read_footer(footer: bytes) -> pq.FileMetaData | None:
    """Parse the footer in a file's last bytes; None where there is none, or only part of one."""
    try:
        return pq.read_metadata(pa.BufferReader(footer))
    except UNREADABLE:
        return None


def bears_fake_mark(metadata: pq.FileMetaData) -> bool:
    """Tell whether the file says that its data are fake."""
    return (metadata.metadata or {}).get(FAKE_MARK) == b"true"


def open_parquet(source: pa.NativeFile, name: str) -> pq.ParquetFile:
    """Open a file whose columns are still to be judged.

    Raises:
        ProofFailed: it is no readable Parquet file.
    """
    try:
        return pq.ParquetFile(source, pre_buffer=False)
    except UNREADABLE as error:
        raise ProofFailed(file=name, evidence=f"its footer can't be read ({first_line(error)})") from None


def refuse_other_schema(parquet: pq.ParquetFile, dataset: Dataset, *, name: str, executable: str) -> None:
    """Compare names, order and types of the columns with the pinned schema.

    Raises:
        SchemaDrift: listing every difference.
    """
    try:
        seen = [(column.name, str(column.type)) for column in parquet.schema_arrow]
    except UNREADABLE as error:
        raise ProofFailed(file=name, evidence=f"its schema can't be read ({first_line(error)})") from None
    differences = schema_differences(seen, dataset.columns)
    if differences:
        raise SchemaDrift(file=name, dataset=dataset.name, differences=differences, executable=executable)


def schema_differences(seen: list[tuple[str, str]], pinned: tuple[tuple[str, str], ...]) -> list[str]:
    """List in words how columns (name, Arrow type) differ from the pinned ones; empty means equal."""
    seen_types, pinned_types = dict(seen), dict(pinned)
    differences = [f"column {name} is missing" for name in pinned_types if name not in seen_types]
    differences += [f"column {name} is not expected" for name in seen_types if name not in pinned_types]
    differences += [
        f"column {name} is {seen_types[name]}, not {pinned_types[name]}"
        for name in pinned_types
        if name in seen_types and seen_types[name] != pinned_types[name]
    ]
    if not differences and [name for name, _ in seen] != [name for name, _ in pinned]:
        differences.append("the columns are in another order")
    return differences


def first_line(error: BaseException) -> str:
    """Return the first line of a foreign error's text, cut to what a message can carry."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
