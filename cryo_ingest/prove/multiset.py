"""Whether two Parquet files hold the same rows, in whatever order: some of Cryo's datasets are not byte-stable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from cryo_ingest.prove.footer import UNREADABLE

if TYPE_CHECKING:
    from pathlib import Path


def equal_rows(left: Path, right: Path) -> bool:
    """Compare two files of one schema as multisets of rows; unreadable ones are never equal.

    Both are read into memory whole: it is done only where two attempts wrote different bytes.
    """
    try:
        first, second = _comparable(left), _comparable(right)
    except UNREADABLE:
        return False
    if first.schema != second.schema or first.num_rows != second.num_rows:
        return False
    counted = pa.concat_tables([_counted(first, 1), _counted(second, -1)])
    balance = counted.group_by(first.column_names).aggregate([("weight", "sum")])
    return not any(balance["weight_sum"].to_pylist())


def _comparable(path: Path) -> pa.Table:
    """Read a file with each double as its 64 bits, since group keys are compared for identity."""
    table = pq.read_table(path, use_threads=False)
    columns = [
        pa.chunked_array([chunk.view(pa.uint64()) for chunk in column.chunks], pa.uint64())
        if pa.types.is_float64(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _counted(table: pa.Table, weight: int) -> pa.Table:
    return table.append_column("weight", pa.repeat(pa.scalar(weight, pa.int64()), table.num_rows))
