"""Level `rows`: what a file can show by itself (RNG-4).

Block numbers inside the chunk, every block once in datasets with a row per block, contiguous transaction indexes, one
chain id. It can't show a row that is missing elsewhere: that is what the levels that ask a node are for.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cryo_ingest.errors import ProofFailed
from cryo_ingest.ports import FileProof
from cryo_ingest.prove import footer
from cryo_ingest.prove.multiset import equal_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow.parquet as pq

    from cryo_ingest.datasets import Dataset
    from cryo_ingest.layout import Chunk
    from cryo_ingest.model import Task

JUDGED_COLUMNS: tuple[str, ...] = ("block_number", "transaction_index", "chain_id")

LISTED_BLOCKS = 5
"""How many block numbers a message lists before it only counts them."""


@dataclass(frozen=True, slots=True)
class RowsProof:
    """Proves files of one task; `executable` is named when a schema is not the pinned one."""

    task: Task
    dataset: Dataset
    executable: str

    async def prove(self, path: Path, chunk: Chunk) -> FileProof:
        """Prove one file; see `ports.Proof`."""
        return await asyncio.to_thread(self._prove, path, chunk)

    async def same_rows(self, left: Path, right: Path) -> bool:
        """Compare two proved files as multisets of rows."""
        return await asyncio.to_thread(equal_rows, left, right)

    def is_fake(self, tail: bytes) -> bool | None:
        """Read the mark of MOD-5 from a file's last bytes."""
        metadata = footer.read_footer(tail)
        return None if metadata is None else footer.bears_fake_mark(metadata)

    def _prove(self, path: Path, chunk: Chunk) -> FileProof:
        digest, size = _digest(path)
        with pa.memory_map(str(path)) as source:
            parquet = footer.open_parquet(source, path.name)
            footer.refuse_other_schema(parquet, self.dataset, name=path.name, executable=self.executable)
            names: list[str] = [name for name in JUDGED_COLUMNS if name in self._columns]
            table = _read_columns(parquet, names, path.name)
            self._judge(table, chunk, path.name)
            numbers: Any = table["block_number"]
            extent: Any = pc.min_max(numbers).as_py() if table.num_rows else {"min": None, "max": None}
            return FileProof(
                sha256=digest,
                size_bytes=size,
                rows=table.num_rows,
                block_min=extent["min"],
                block_max=extent["max"],
                fake=footer.bears_fake_mark(parquet.metadata),
            )

    @property
    def _columns(self) -> set[str]:
        return {name for name, _ in self.dataset.columns}

    def _judge(self, table: pa.Table, chunk: Chunk, name: str) -> None:
        numbers: Any = table["block_number"]
        if numbers.null_count:
            raise ProofFailed(file=name, evidence=f"{numbers.null_count} rows have no block number")
        outside: Any = pc.unique(numbers.filter(_outside(numbers, chunk)))
        if len(outside):
            wanted = f"[{chunk.start}, {chunk.end})"
            raise ProofFailed(file=name, evidence=f"it holds blocks outside {wanted}: {listed(outside.to_pylist())}")
        if self.dataset.row_per_block:
            _judge_row_per_block(numbers, chunk, name)
        if self.dataset.name == "transactions":
            _judge_indexes(table, name)
        if "chain_id" in table.column_names:
            foreign: Any = pc.unique(table["chain_id"]).to_pylist()
            if foreign not in ([], [self.task.chain_id]):
                evidence = f"its chain_id column says {listed(foreign)}, not {self.task.chain_id}"
                raise ProofFailed(file=name, evidence=evidence)


def _outside(numbers: Any, chunk: Chunk) -> Any:
    start, end = pa.scalar(chunk.start, pa.int64()), pa.scalar(chunk.end, pa.int64())
    return pc.or_(pc.less(numbers, start), pc.greater_equal(numbers, end))


def _judge_row_per_block(numbers: Any, chunk: Chunk, name: str) -> None:
    seen = set(pc.unique(numbers).to_pylist())
    missing = [number for number in range(chunk.start, chunk.end) if number not in seen]
    if missing:
        raise ProofFailed(file=name, evidence=f"blocks are missing: {listed(missing)}")
    if len(numbers) != len(seen):
        counts: Any = pc.value_counts(numbers)
        doubled = [item["values"] for item in counts.to_pylist() if item["counts"] > 1]
        raise ProofFailed(file=name, evidence=f"blocks have more than one row: {listed(doubled)}")


def _judge_indexes(table: pa.Table, name: str) -> None:
    """In each block the transaction indexes are 0, 1, 2, … without a gap or a repeat."""
    if table["transaction_index"].null_count:
        raise ProofFailed(file=name, evidence="rows have no transaction index")
    grouped: Any = table.group_by("block_number").aggregate(
        [("transaction_index", "count"), ("transaction_index", "count_distinct"), ("transaction_index", "max")]
    )
    count = grouped["transaction_index_count"]
    whole = pc.and_(
        pc.equal(count, grouped["transaction_index_count_distinct"]),
        pc.equal(pc.cast(count, pa.uint64()), pc.add(grouped["transaction_index_max"], pa.scalar(1, pa.uint64()))),
    )
    broken = grouped["block_number"].filter(pc.invert(whole)).to_pylist()
    if broken:
        evidence = f"transaction indexes are not 0, 1, 2, … in blocks {listed(sorted(broken))}"
        raise ProofFailed(file=name, evidence=evidence)


def listed(values: Sequence[int | None]) -> str:
    """List a few numbers and count the rest."""
    shown = ", ".join("null" if value is None else str(value) for value in values[:LISTED_BLOCKS])
    return shown if len(values) <= LISTED_BLOCKS else f"{shown} and {len(values) - LISTED_BLOCKS} more"


def _read_columns(parquet: pq.ParquetFile, names: list[str], file: str) -> pa.Table:
    try:
        return parquet.read(columns=names, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ProofFailed(file=file, evidence=f"its rows can't be read ({footer.first_line(error)})") from None


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
