"""What a file's rows can show by themselves: the judgement behind level `rows`. Loads pyarrow, so it is loaded late."""

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
"""How many block numbers a message lists before it only counts them."""


def prove_rows(path: Path, chunk: Chunk, *, dataset: Dataset, chain_id: int, executable: str) -> FileProof:
    """Prove one file against its chunk; see `ports.Proof`."""
    digest, size = _digest(path)
    columns = {name for name, _ in dataset.columns}
    most_rows = MAX_ROWS_BY_CHAIN if "chain" in dataset.levels else MAX_ROWS
    with pa.memory_map(str(path)) as mapped:
        source = mapped.read_buffer()
        parquet = footer.open_parquet(source, path.name)
        footer.check_schema(parquet, dataset, name=path.name, executable=executable)
        try:
            check_page_sizes(parquet.metadata, memoryview(source), name=path.name, most_rows=most_rows)
            tally = _count(parquet, [name for name in ("block_number", "chain_id") if name in columns])
            _judge(tally, chunk, name=path.name, row_per_block=dataset.row_per_block, chain_id=chain_id)
            if dataset.name == "transactions":
                _judge_indexes(parquet, tally.rows_by_block, path.name)
        except footer.UNREADABLE as error:
            evidence = f"its rows can't be read ({footer.first_line(error)})"
            raise ProofFailed(file=path.name, evidence=evidence) from None
        return FileProof(
            sha256=digest,
            size_bytes=size,
            rows=tally.rows,
            block_min=min(tally.rows_by_block, default=None),
            block_max=max(tally.rows_by_block, default=None),
            fake=footer.has_fake_mark(parquet.metadata),
        )


def _judge(tally: _Tally, chunk: Chunk, *, name: str, row_per_block: bool, chain_id: int) -> None:
    if tally.without_block:
        raise ProofFailed(file=name, evidence=f"{tally.without_block} rows have no block number")
    outside = sorted(number for number in tally.rows_by_block if not chunk.start <= number < chunk.end)
    if outside:
        wanted = f"[{chunk.start}, {chunk.end})"
        raise ProofFailed(file=name, evidence=f"it holds blocks outside {wanted}: {listed(outside)}")
    if row_per_block:
        missing = [number for number in range(chunk.start, chunk.end) if number not in tally.rows_by_block]
        if missing:
            raise ProofFailed(file=name, evidence=f"blocks are missing: {listed(missing)}")
        doubled = sorted(number for number, rows in tally.rows_by_block.items() if rows > 1)
        if doubled:
            raise ProofFailed(file=name, evidence=f"blocks have more than one row: {listed(doubled)}")
    foreign = tally.chain_ids - {chain_id}
    if foreign:
        evidence = f"its chain_id column says {listed(list(foreign))}, not {chain_id}"
        raise ProofFailed(file=name, evidence=evidence)


@dataclass(slots=True)
class _Tally:
    """What the rows of a file add up to."""

    rows: int = 0
    without_block: int = 0
    rows_by_block: Counter[int] = field(default_factory=Counter)
    chain_ids: set[int | None] = field(default_factory=set)


def _count(parquet: pq.ParquetFile, columns: list[str]) -> _Tally:
    """Count a file's rows batch by batch, so that memory does not grow with the file.

    A file with more distinct blocks than any chunk has, or with several chain ids, is not counted to its end.
    """
    tally = _Tally()
    for batch in parquet.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
        numbers: Any = batch.column("block_number")
        tally.rows += batch.num_rows
        tally.without_block += numbers.null_count
        counts: Any = pc.value_counts(numbers.drop_null())
        for number, rows in zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True):
            tally.rows_by_block[number] += rows
        if "chain_id" in columns:
            tally.chain_ids.update(pc.unique(batch.column("chain_id")).to_pylist())
        if len(tally.rows_by_block) > CHUNK_BLOCKS or len(tally.chain_ids) > LISTED_BLOCKS:
            break
    return tally


def _judge_indexes(parquet: pq.ParquetFile, rows_by_block: Counter[int], name: str) -> None:
    """In each block the transaction indexes are 0, 1, 2, …, in whatever order, without a gap or a repeat.

    A byte is kept for each row: whether its index was seen.
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
    """Return the SHA-256 and size of a regular file; a link is refused, not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise ProofFailed(file=path.name, evidence=f"it can't be opened ({error.strerror})") from None
    seen = os.fstat(descriptor)
    if not stat.S_ISREG(seen.st_mode):
        os.close(descriptor)
        raise ProofFailed(file=path.name, evidence="it is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), seen.st_size
