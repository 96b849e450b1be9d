"""The checks of level `rows`, on one file's content alone. Loads pyarrow, so it is imported late."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cryo_ingest.errors import ProofFailed
from cryo_ingest.layout import CHUNK_BLOCKS
from cryo_ingest.ports import FileProof
from cryo_ingest.prove import footer
from cryo_ingest.prove.pages import MAX_ROWS, MAX_ROWS_BY_CHAIN, check_page_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryo_ingest.datasets import Dataset
    from cryo_ingest.layout import Chunk

INDEX_COLUMNS = ["block_number", "transaction_index"]

BATCH_ROWS = 65_536

LISTED_BLOCKS = 5
"""The number of blocks that a message lists; it counts the others."""


def prove_rows(path: Path, chunk: Chunk, *, dataset: Dataset, chain_id: int, executable: str) -> FileProof:
    """Prove one file against its chunk; see `ports.Prover`."""
    digest, size = _digest(path)
    columns = {name for name, _ in dataset.columns}
    max_rows = MAX_ROWS_BY_CHAIN if "chain" in dataset.levels else MAX_ROWS
    with pa.memory_map(str(path)) as mapped:
        source = mapped.read_buffer()
        parquet = footer.open_parquet(source, path.name)
        footer.check_schema(parquet, dataset, name=path.name, executable=executable)
        try:
            check_page_sizes(parquet.metadata, memoryview(source), name=path.name, max_rows=max_rows)
            counts = _count_rows(parquet, [name for name in ("block_number", "chain_id") if name in columns])
            _check_counts(counts, chunk, name=path.name, row_per_block=dataset.row_per_block, chain_id=chain_id)
            if dataset.name == "transactions":
                _check_transaction_indexes(parquet, counts.rows_by_block, path.name)
        except footer.UNREADABLE as error:
            evidence = f"its rows can't be read ({footer.first_line(error)})"
            raise ProofFailed(file=path.name, evidence=evidence) from None
        return FileProof(
            sha256=digest,
            size_bytes=size,
            rows=counts.rows,
            block_min=min(counts.rows_by_block, default=None),
            block_max=max(counts.rows_by_block, default=None),
            fake=footer.has_fake_mark(parquet.metadata),
        )


def _check_counts(counts: _RowCounts, chunk: Chunk, *, name: str, row_per_block: bool, chain_id: int) -> None:
    if counts.without_block:
        raise ProofFailed(file=name, evidence=f"{counts.without_block} rows have no block number")
    outside = sorted(number for number in counts.rows_by_block if not chunk.start <= number < chunk.end)
    if outside:
        evidence = f"it contains blocks outside [{chunk.start}, {chunk.end}): {listed(outside)}"
        raise ProofFailed(file=name, evidence=evidence)
    if row_per_block:
        missing = [number for number in range(chunk.start, chunk.end) if number not in counts.rows_by_block]
        if missing:
            raise ProofFailed(file=name, evidence=f"blocks are missing: {listed(missing)}")
        repeated = sorted(number for number, rows in counts.rows_by_block.items() if rows > 1)
        if repeated:
            raise ProofFailed(file=name, evidence=f"blocks have more than one row: {listed(repeated)}")
    others = counts.chain_ids - {chain_id}
    if others:
        evidence = f"its chain_id column has {listed(list(others))}, not {chain_id}"
        raise ProofFailed(file=name, evidence=evidence)


@dataclass(slots=True)
class _RowCounts:
    """The numbers of a file's rows, and its chain ids."""

    rows: int = 0
    without_block: int = 0
    rows_by_block: Counter[int] = field(default_factory=Counter)
    chain_ids: set[int | None] = field(default_factory=set)


def _count_rows(parquet: pq.ParquetFile, columns: list[str]) -> _RowCounts:
    """Count a file's rows batch by batch, so that memory does not grow with the file.

    Counting stops early in a file with more distinct blocks than a chunk has, or with too many chain ids.
    """
    found = _RowCounts()
    for batch in parquet.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
        numbers: Any = batch.column("block_number")
        found.rows += batch.num_rows
        found.without_block += numbers.null_count
        counts: Any = pc.value_counts(numbers.drop_null())
        for number, rows in zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True):
            found.rows_by_block[number] += rows
        if "chain_id" in columns:
            found.chain_ids.update(pc.unique(batch.column("chain_id")).to_pylist())
        if len(found.rows_by_block) > CHUNK_BLOCKS or len(found.chain_ids) > LISTED_BLOCKS:
            break
    return found


def _check_transaction_indexes(parquet: pq.ParquetFile, rows_by_block: Counter[int], name: str) -> None:
    """Check that each block's transaction indexes are 0, 1, 2, … in any order, without gaps or repeats.

    One byte for each row records whether its index was found.
    """
    seen = {block: bytearray(rows) for block, rows in rows_by_block.items()}
    for batch in parquet.iter_batches(BATCH_ROWS, columns=INDEX_COLUMNS, use_threads=False):
        if batch.column("transaction_index").null_count:
            raise ProofFailed(file=name, evidence="rows have no transaction index")
        for block, index in zip(*(batch.column(column).to_pylist() for column in INDEX_COLUMNS), strict=True):
            if index < len(seen[block]):
                seen[block][index] = 1
    broken = sorted(block for block, indexes in seen.items() if 0 in indexes)
    if broken:
        evidence = f"transaction indexes are not 0, 1, 2, … in blocks {listed(broken)}"
        raise ProofFailed(file=name, evidence=evidence)


def listed(values: Sequence[int | None]) -> str:
    """List a few numbers and count the rest."""
    shown = ", ".join("null" if value is None else str(value) for value in values[:LISTED_BLOCKS])
    return shown if len(values) <= LISTED_BLOCKS else f"{shown} and {len(values) - LISTED_BLOCKS} more"


def _digest(path: Path) -> tuple[str, int]:
    """Return the SHA-256 and size of a regular file; a link is rejected, not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise ProofFailed(file=path.name, evidence=f"it can't be opened ({error.strerror})") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ProofFailed(file=path.name, evidence="it is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), status.st_size
