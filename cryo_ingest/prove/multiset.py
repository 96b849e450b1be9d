"""Compares the rows of two Parquet files in any order: Cryo does not write every dataset byte for byte the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from cryo_ingest.errors import ProofFailed
from cryo_ingest.prove.batches import batches
from cryo_ingest.prove.footer import UNREADABLE

if TYPE_CHECKING:
    from pathlib import Path

DIGEST_BYTES = 32


def equal_rows(left: Path, right: Path) -> bool:
    """Compare two files that were proved by rows as multisets of rows; an unreadable file is never equal.

    The digests of the rows are added up, slice by slice, so that memory does not grow with the files.
    """
    try:
        first, second = _schema(left), _schema(right)
        return first == second and _digest_sum(left, first.names) == _digest_sum(right, second.names)
    except (ProofFailed, *UNREADABLE):
        return False


def _schema(path: Path) -> pa.Schema:
    with pa.memory_map(str(path)) as source, pq.ParquetFile(source, pre_buffer=False) as parquet:
        return parquet.schema_arrow.remove_metadata()


def _digest_sum(path: Path, columns: list[str]) -> tuple[int, int]:
    """Return the number of rows and the sum of their digests."""
    rows = total = 0
    for batch in batches(path, columns):
        for row in zip(*batch.values(), strict=True):
            digest = hashlib.blake2b(repr(row).encode(), digest_size=DIGEST_BYTES).digest()
            total += int.from_bytes(digest, "big")
            rows += 1
    return rows, total % (1 << 8 * DIGEST_BYTES)
