"""Level `rows` of the proof: RNG-2, RNG-4, OUT-4's schema, MOD-5's mark."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryo_ingest.datasets import all_datasets
from cryo_ingest.errors import ProofFailed, UnexpectedSchema
from cryo_ingest.layout import Chunk
from cryo_ingest.model import Task
from cryo_ingest.ports import FileProof
from cryo_ingest.prove.rows import RowsProver
from cryo_ingest.prove.summarize import summarize

GOLDEN = Path(__file__).resolve().parents[3] / "fixtures" / "golden"
FULL_RANGE = Chunk(0, 1_000_000, "golden")


def prover_of(name: str, chain_id: int = 31337) -> RowsProver:
    """Return a dataset's prover by rows, for any range."""
    task = Task.model_construct(chain_id=chain_id, cryo_dataset_name=name)
    return RowsProver(task, all_datasets()[name], executable="cryo-under-test")


def prove(prover: RowsProver, path: Path, chunk: Chunk) -> FileProof:
    """Prove one file, outside any event loop."""
    return asyncio.run(prover.prove_rows(path, chunk))


def write(path: Path, name: str, columns: dict[str, list[Any]], metadata: dict[str, str] | None = None) -> Path:
    """Write a file with a dataset's pinned schema; columns that are not given are null."""
    pinned = all_datasets()[name].columns
    rows = len(next(iter(columns.values())))
    schema = pa.schema([(column, pa.type_for_alias(arrow)) for column, arrow in pinned], metadata=metadata)
    arrays = [pa.array(columns.get(column, [None] * rows), schema.field(column).type) for column, _ in pinned]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)
    return path


def blocks(path: Path, numbers: list[int | None], chain_ids: list[int] | None = None) -> Path:
    """Write a file of the blocks dataset."""
    return write(path, "blocks", {"block_number": numbers, "chain_id": chain_ids or [31337] * len(numbers)})


@pytest.mark.parametrize("name", sorted(all_datasets()))
@pytest.mark.parametrize("form", ["full", "empty"])
def test_rng_4_every_golden_file_has_the_pinned_schema(name: str, form: str):
    """RNG-4: files of real Cryo 0.3.2, also empty ones, pass for all 36 datasets."""
    prover = prover_of(name)
    path = GOLDEN / name / f"{form}.parquet"
    if all_datasets()[name].row_per_block:
        first, last = _extent(path)
        assert prove(prover, path, Chunk(first, last + 1, path.name)).rows >= last + 1 - first
    else:
        file_proof = prove(prover, path, FULL_RANGE)
        assert (file_proof.rows > 0) is (form == "full")
        assert (file_proof.block_min is None) is (form == "empty")


def _extent(path: Path) -> tuple[int, int]:
    numbers = pq.read_table(path, columns=["block_number"])["block_number"].to_pylist()
    return min(numbers), max(numbers)


def test_out_4_another_schema_is_fatal_and_names_the_executable_and_each_difference():
    """OUT-4: additional columns are a fatal error that names the binary."""
    with pytest.raises(UnexpectedSchema, match=r"cryo-under-test") as caught:
        prove(prover_of("blocks"), GOLDEN / "blocks" / "allcols.parquet", FULL_RANGE)
    assert any("is not expected" in difference for difference in caught.value.differences)
    assert caught.value.outcome == "fatal_error"


def test_rng_4_a_missing_repeated_or_unexpected_block_fails_and_is_named(tmp_path: Path):
    """RNG-4: a dataset with a row per block has each number of the chunk exactly once."""
    chunk = Chunk(10, 14, "blocks.parquet")
    for numbers, words in (
        ([10, 11, 13], "blocks are missing: 12"),
        ([10, 11, 12, 12, 13], "more than one row: 12"),
        ([10, 11, 12, 13, 14], r"outside \[10, 14\): 14"),
        ([10, 11, None, 13], "1 rows have no block number"),
        ([], "blocks are missing: 10, 11, 12, 13"),
    ):
        with pytest.raises(ProofFailed, match=words):
            prove(prover_of("blocks"), blocks(tmp_path / chunk.name, numbers), chunk)


def test_rng_4_good_blocks_are_proved_with_their_extent_and_digest(tmp_path: Path):
    """RNG-4, LAY-8: the proof has the values that an object's metadata need."""
    path = blocks(tmp_path / "b.parquet", [10, 11, 12, 13])
    file_proof = prove(prover_of("blocks"), path, Chunk(10, 14, path.name))
    assert (file_proof.rows, file_proof.block_min, file_proof.block_max, file_proof.fake, file_proof.evidence) == (
        4,
        10,
        13,
        False,
        "rows",
    )
    assert (len(file_proof.sha256), file_proof.size_bytes) == (64, path.stat().st_size)


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([(5, 0), (5, 1), (6, 0)], None),
        ([(5, 1), (5, 0), (6, 0)], None),
        ([(5, 0), (5, 2), (6, 0)], "5"),
        ([(5, 0), (5, 0), (6, 0)], "5"),
        ([(5, 0), (6, 1)], "6"),
        ([], None),
    ],
)
def test_rng_4_transaction_indexes_are_contiguous_from_zero_in_each_block(
    tmp_path: Path, rows: list[tuple[int, int]], broken: str | None
):
    """RNG-4: missing receipts leave a gap in the indexes, and a file with a gap fails."""
    columns = {
        "block_number": [block for block, _ in rows],
        "transaction_index": [index for _, index in rows],
        "chain_id": [31337 for _ in rows],
    }
    path = write(tmp_path / "t.parquet", "transactions", columns)
    if broken is None:
        assert prove(prover_of("transactions"), path, FULL_RANGE).rows == len(rows)
    else:
        with pytest.raises(ProofFailed, match=f"in blocks {broken}"):
            prove(prover_of("transactions"), path, FULL_RANGE)


def test_rng_4_rows_of_another_chain_fail(tmp_path: Path):
    """RNG-4: a file with another chain id, or with two of them, fails."""
    chunk = Chunk(1, 3, "b.parquet")
    for chain_ids in ([1, 1], [31337, 1]):
        with pytest.raises(ProofFailed, match="chain_id"):
            prove(prover_of("blocks"), blocks(tmp_path / chunk.name, [1, 2], chain_ids), chunk)


def test_rng_4_every_truncated_file_fails(tmp_path: Path):
    """RNG-4: the proof raises ProofFailed wherever a file is cut."""
    original = (GOLDEN / "blocks" / "full.parquet").read_bytes()
    path = tmp_path / "cut.parquet"
    for length in range(0, len(original), 97):
        path.write_bytes(original[:length])
        with pytest.raises(ProofFailed, match=r"cut\.parquet"):
            prove(prover_of("blocks"), path, FULL_RANGE)


def test_rng_4_a_link_or_a_directory_fails(tmp_path: Path):
    """RNG-4: links are not followed."""
    (tmp_path / "link.parquet").symlink_to(GOLDEN / "blocks" / "full.parquet")
    (tmp_path / "folder.parquet").mkdir()
    for name in ("link", "folder", "absent"):
        with pytest.raises(ProofFailed, match=rf"{name}\.parquet failed its proof"):
            prove(prover_of("blocks"), tmp_path / f"{name}.parquet", FULL_RANGE)


def test_mod_5_the_mark_of_fake_data_is_read_from_a_files_last_bytes(tmp_path: Path):
    """MOD-5: the mark is in the footer, so an object's last bytes suffice; without a footer there is no result."""
    prover = prover_of("blocks")
    columns = {"block_number": [1], "chain_id": [31337]}
    marked = write(tmp_path / "m.parquet", "blocks", columns, {"cryo_ingest.fake": "true"})
    assert prove(prover, marked, Chunk(1, 2, marked.name)).fake
    assert prover.is_fake(marked.read_bytes()[-8000:]) is True
    assert prover.is_fake((GOLDEN / "blocks" / "full.parquet").read_bytes()) is False
    assert prover.is_fake(b"no parquet at all") is None
    assert prover.is_fake(b"") is None


@pytest.mark.parametrize("name", sorted(all_datasets()))
def test_lay_10_rows_are_compared_as_multisets(tmp_path: Path, name: str):
    """LAY-10: rows in another order are equal; an additional, missing or repeated row is a difference."""
    golden = GOLDEN / name / "full.parquet"
    table = pq.read_table(golden)
    shuffled, shorter, repeated = tmp_path / "s", tmp_path / "x", tmp_path / "d"
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), shuffled)
    pq.write_table(table.slice(1), shorter)
    pq.write_table(pa.concat_tables([table.slice(1), table.slice(table.num_rows - 1)]), repeated)
    prover = prover_of(name)
    assert asyncio.run(prover.same_rows(golden, shuffled))
    assert not asyncio.run(prover.same_rows(golden, shorter))
    if table.num_rows > 1 and table.slice(0, 1) != table.slice(table.num_rows - 1):
        assert not asyncio.run(prover.same_rows(golden, repeated))


DAMAGED = ["blocks", "erc20_transfers", "geth_calls", "logs", "traces", "transactions"]


@pytest.mark.parametrize("name", DAMAGED)
def test_rng_4_a_damaged_file_raises_only_our_own_errors(name: str, tmp_path: Path):
    """RNG-4: a flipped bit anywhere in a file, mostly in the footer, raises only the worker's own errors."""
    original = (GOLDEN / name / "full.parquet").read_bytes()
    footer_bytes = int.from_bytes(original[-8:-4], "little") + 8
    random = Random(name)
    path = tmp_path / "damaged.parquet"
    first, last = _extent(GOLDEN / name / "full.parquet")
    outcomes = set()
    for _ in range(150):
        content = bytearray(original)
        position = len(content) - random.randrange(1, footer_bytes if random.random() < 0.7 else len(content))
        content[position] ^= 1 << random.randrange(8)
        path.write_bytes(content)
        outcomes.add(outcome_of(name, path, Chunk(first, last + 1, path.name)))
    assert {"ProofFailed", "UnexpectedSchema"} <= outcomes


def outcome_of(name: str, path: Path, chunk: Chunk) -> str:
    """Prove a file by its rows and summarize it; return the error's name, if there is one."""
    try:
        prove(prover_of(name), path, chunk)
        summarize(path, chunk, dataset=name, digest="any")
    except (ProofFailed, UnexpectedSchema) as error:
        return type(error).__name__
    return "read"


def test_rng_4_a_column_name_that_is_not_utf_8_fails(tmp_path: Path):
    """RNG-4: pyarrow raises UnicodeDecodeError for it instead of one of its own errors."""
    original = (GOLDEN / "blocks" / "full.parquet").read_bytes()
    path = tmp_path / "named.parquet"
    path.write_bytes(original.replace(b"gas_used", b"\xffas_used"))
    with pytest.raises(ProofFailed, match="can't be read"):
        prove(prover_of("blocks"), path, FULL_RANGE)
