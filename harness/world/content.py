"""The facts of a Parquet file, and those that the chain calls for; rows are compared as multisets, by one digest.

Some of Cryo's datasets are not byte-stable, so this module never compares files byte by byte.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

from harness.contract import chunks, file_name
from harness.world.tables import build

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.world.chain import Chain


def facts_of(content: bytes) -> dict[str, Any]:
    """Return the facts of a file, or `{"unreadable": …}` if it is not a complete Parquet file."""
    import pyarrow as pa  # noqa: PLC0415 - the only slow import
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    try:
        return facts_of_table(pq.read_table(io.BytesIO(content)))
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        return {"unreadable": type(error).__name__}


def facts_of_table(table: pa.Table) -> dict[str, Any]:
    """Return the facts of a table.

    Raises:
        TypeError: a block number is not an integer.
    """
    numbers: set[Any] = set(table.column("block_number").to_pylist()) if "block_number" in table.column_names else set()
    if not all(type(number) is int for number in numbers):
        raise TypeError("a block number is an integer")
    return {
        "rows": table.num_rows,
        "columns": table.column_names,
        "first": min(numbers, default=None),
        "last": max(numbers, default=None),
        "digest": digest(table),
        "fake": (table.schema.metadata or {}).get(b"cryo_ingest.fake") == b"true",
    }


def digest(table: pa.Table) -> str:
    """Return a digest of the rows as a multiset."""
    columns = [column.to_pylist() for column in table.columns]
    rows = sorted(hashlib.sha256(repr(row).encode()).digest() for row in zip(*columns, strict=True))
    return hashlib.sha256(b"".join(rows)).hexdigest()


def oracle(chain: Chain, dataset: str, first: int, end: int) -> dict[str, dict[str, Any]]:
    """Return the facts that each file of a range must have, by file name."""
    return {
        file_name(chain.chain_id, dataset, chunk): facts_of_table(build(chain, dataset, chunk))
        for chunk in chunks(first, end)
    }
