"""The proof by rows (RNG-4): readable files, the schema of Cryo 0.3.2, and the right block numbers."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.parquet as pq

from harness.reference.bugs import has_bug
from harness.reference.errors import Fatal
from harness.world.catalogue import datasets

if TYPE_CHECKING:
    from harness.reference.task import Chunk

FAKE_KEY = b"cryo_ingest.fake"
"""The mark of fake data (MOD-5)."""

ROW_PER_BLOCK = ("blocks",)
"""The datasets with one row per block, of the 25 that need only a range."""


class Broken(Exception):
    """A file is not the expected chunk; the message says what is wrong and where."""


class OtherSchema(Exception):
    """A file's columns are not those of Cryo 0.3.2."""


@dataclass(frozen=True, slots=True)
class File:
    """A complete file: its bytes and its rows."""

    chunk: Chunk
    body: bytes
    table: pa.Table
    is_fake: bool

    def numbers(self) -> list[int]:
        """Return the block number of each row."""
        return cast("list[int]", self.table.column("block_number").to_pylist())


def read(chunk: Chunk, body: bytes, dataset: str) -> File:
    """Prove one file by its rows.

    Raises:
        Broken: it can't be read, or has other rows than its chunk.
        OtherSchema: it has other columns.
    """
    try:
        reader = pq.ParquetFile(io.BytesIO(body))
        table, metadata = reader.read(), reader.metadata.metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise Broken(f"{chunk.name} can't be read: {error}") from None
    columns = [(field.name, str(field.type)) for field in table.schema]
    if columns != list(datasets()[dataset].columns):
        raise OtherSchema(f"{chunk.name} has other columns than Cryo 0.3.2's {dataset}")
    file = File(chunk, body, table, metadata.get(FAKE_KEY) == b"true")
    if not has_bug("believes-exit-zero"):
        _check_numbers(file, dataset)
    return file


def is_fake(body: bytes) -> bool | None:
    """Return whether a file is marked as fake data; None if it can't be read."""
    try:
        metadata = pq.ParquetFile(io.BytesIO(body)).metadata.metadata or {}
    except (pa.ArrowException, OSError):
        return None
    return bool(metadata.get(FAKE_KEY) == b"true")


def same_rows(one: pa.Table, other: pa.Table) -> bool:
    """Return whether two tables have the same rows, each the same number of times, in any order (LAY-10)."""
    if one.schema.names != other.schema.names or one.num_rows != other.num_rows:
        return False
    return bool(one.equals(other)) or _multiset(one) == _multiset(other)


def _multiset(table: pa.Table) -> Counter[tuple[object, ...]]:
    return Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _check_numbers(file: File, dataset: str) -> None:
    chunk, numbers = file.chunk, file.numbers()
    if None in numbers:
        raise Broken(f"{chunk.name} has rows without a block number")
    foreign = sorted({number for number in numbers if not chunk.first <= number <= chunk.last})
    if foreign:
        raise Broken(f"{chunk.name} has rows of blocks outside {chunk.first}..{chunk.last}: {foreign[:5]}")
    expected = chunk.last - chunk.first + 1
    if dataset in ROW_PER_BLOCK and not (len(numbers) == expected and has_bug("counts-rows-only")):
        missing = sorted(set(range(chunk.first, chunk.last + 1)) - set(numbers))
        if missing or len(numbers) != expected:
            raise Broken(f"{chunk.name} has {len(numbers)} rows for {expected} blocks; missing: {missing[:5]}")
    if dataset == "transactions":
        _check_indexes(file, numbers)


def _check_indexes(file: File, numbers: list[int]) -> None:
    indexes: dict[int, list[int]] = {}
    for number, index in zip(numbers, file.table.column("transaction_index").to_pylist(), strict=True):
        indexes.setdefault(number, []).append(-1 if index is None else index)
    with_gaps = [number for number, found in indexes.items() if sorted(found) != list(range(len(found)))]
    if with_gaps:
        raise Broken(f"{file.chunk.name} has gaps in transaction_index in blocks {sorted(with_gaps)[:5]}")


def check_mark(files_are_fake: bool | None, *, mode_is_fake: bool, where: str) -> None:  # noqa: FBT001 - the value to check
    """Compare a file's mark with the mode (LAY-11, OUT-4); None means that the file can't be read.

    Raises:
        Fatal: the file has data of the other mode.
    """
    if files_are_fake is None or files_are_fake == mode_is_fake or has_bug("mixes-the-modes"):
        return
    found, mode = ("fake", "real") if files_are_fake else ("real", "fake")
    raise Fatal(f"{where} has {found} data, but this worker is in {mode} mode: nothing was changed; remove it by hand")
