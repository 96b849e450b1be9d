"""Reads columns of a proved file in bounded batches: every row of a file can refer to one long value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cryo_ingest.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BATCH_ROWS = 16_384
SLICE_ROWS = 1024

MAX_SLICE_BYTES = 256 * 1024**2
"""The byte strings of one slice: a quarter of a MiB in each of 1,024 consecutive rows, more than any gas limit."""

MAX_FILE_BYTES = 4 * 1024**3
"""The byte strings of a file, to limit the time as well: calldata for all the gas of a thousand full blocks."""


def batches(path: Path, columns: list[str], *, decoded: Sequence[str] = ()) -> Iterator[dict[str, list[Any]]]:
    """Yield some columns of a file slice by slice as Python values, doubles as 64-bit integers.

    The columns `decoded` are read as well, to find out whether they can be, but no values are made of them.

    Raises:
        ProofFailed: its rows would not fit into memory.
        ArrowException, OSError, ValueError: it can't be read (`footer.UNREADABLE`).
    """
    left = MAX_FILE_BYTES
    read = [*columns, *decoded]
    # Byte strings are read as indexes into dictionaries, so that memory holds each value of a page once.
    with (
        pa.memory_map(str(path)) as source,
        pq.ParquetFile(source, pre_buffer=False, read_dictionary=read) as parquet,
    ):
        for batch in parquet.iter_batches(BATCH_ROWS, columns=read, use_threads=False):
            lengths = [_lengths(column) for column in batch.columns if pa.types.is_dictionary(column.type)]
            for start in range(0, batch.num_rows, SLICE_ROWS):
                size = sum(pc.sum(each.slice(start, SLICE_ROWS)).as_py() or 0 for each in lengths)
                left -= size
                if size > MAX_SLICE_BYTES or left < 0:
                    raise ProofFailed(file=path.name, evidence=f"{SLICE_ROWS} of its rows hold {size} bytes")
                part = batch.slice(start, SLICE_ROWS)
                yield {name: _values(part.column(name)) for name in columns}


def _lengths(column: Any) -> Any:
    return pc.binary_length(column.dictionary).take(column.indices).cast(pa.int64())


def _values(column: Any) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    elif pa.types.is_float64(column.type):
        column = column.view(pa.uint64())
    values: list[Any] = column.to_pylist()
    return values
