"""The chain as Cryo's tables, compared with golden files of real Cryo."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.world.catalogue import by_range_alone, datasets
from harness.world.chain import Chain
from harness.world.content import facts_of
from harness.world.tables import ROWS, build, schema

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "fixtures" / "golden"


def test_25_of_36_datasets_need_only_a_range():
    """The catalogue has all datasets of Cryo, and 25 of them need only a range."""
    assert len(datasets()) == 36
    assert len(by_range_alone()) == 25


@pytest.mark.parametrize("dataset", sorted(datasets()))
@pytest.mark.parametrize("kind", ["full", "empty"])
def test_schemas_are_those_of_the_golden_files(dataset: str, kind: str):
    """The columns of all 36 datasets have the names, types and order of real Cryo's files, also of empty ones."""
    assert schema(dataset).equals(pq.read_schema(GOLDEN / dataset / f"{kind}.parquet"), check_metadata=False)


@pytest.mark.parametrize("dataset", sorted(ROWS))
def test_a_column_that_varies_in_the_golden_file_varies_here(dataset: str):
    """A column that varies in real Cryo's small golden file also varies in 400 blocks of the chain."""
    golden = pq.read_table(GOLDEN / dataset / "full.parquet")
    table = build(Chain(1), dataset, range(40, 440))
    assert table.num_rows >= 100
    for name in golden.column_names:
        if len(set(golden[name].to_pylist())) > 1:
            assert len(set(table[name].to_pylist())) > 1, name


@pytest.mark.parametrize("dataset", sorted(ROWS))
def test_a_table_is_the_concatenation_of_its_blocks(dataset: str):
    """The rows of a block do not depend on the other blocks in the request."""
    chain = Chain(1, seed=3)
    whole = build(chain, dataset, range(100_000_000, 100_000_010))
    parts = [build(Chain(1, seed=3), dataset, [number]) for number in range(100_000_000, 100_000_010)]
    assert pa.concat_tables(parts).equals(whole)


@pytest.mark.parametrize("numbers", [[None, 5], ["5"], [5.0]])
def test_a_file_with_bad_block_numbers_is_unreadable(numbers: list[object]):
    """A file has no facts if a block number is not an integer, since checks compare block numbers with a range."""
    written = io.BytesIO()
    pq.write_table(pa.table({"block_number": numbers}), written)
    assert facts_of(written.getvalue()) == {"unreadable": "TypeError"}
