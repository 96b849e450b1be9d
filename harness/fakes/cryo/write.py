"""Parquet as Cryo 0.3.2 writes it: LZ4_RAW, one row group, or none without rows, every column optional.

Different are `created_by` (Polars in Cryo, parquet-cpp here), which pages are dictionary-encoded, and the byte layout.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.fakes.cryo.plan import Codec

FAKE_MARK = {b"cryo_ingest.fake": b"true"}
"""The mark of fake data in the file's key-value metadata (MOD-5)."""


def write_table(  # noqa: PLR0913 - each is one of Cryo's options
    table: pa.Table,
    target: Path | BinaryIO,
    *,
    compression: Codec = "lz4",
    compression_level: int | None = None,
    row_group_size: int | None = None,
    statistics: bool = True,
    marked: bool = False,
) -> None:
    """Write one file, by default as Cryo does without options; the caller renames it."""
    import pyarrow.parquet as pq  # noqa: PLC0415 (slow, and a rejected command line does not need it)

    if marked:
        table = table.replace_schema_metadata(FAKE_MARK)
    with pq.ParquetWriter(
        target,
        table.schema,
        compression=compression,
        compression_level=compression_level,
        version="2.6",
        write_statistics=statistics,
        write_page_index=statistics,
    ) as writer:
        if table.num_rows:
            writer.write_table(table, row_group_size=row_group_size or table.num_rows)
