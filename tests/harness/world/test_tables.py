"""The chain as Cryo's tables, held against the golden files of the real one."""

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


def test_25_of_36_datasets_can_be_had_by_range_alone():
    """The catalogue has all of Cryo's datasets and says which need nothing but a range."""
    assert len(datasets()) == 36
    assert len(by_range_alone()) == 25


@pytest.mark.parametrize("dataset", sorted(datasets()))
@pytest.mark.parametrize("kind", ["full", "empty"])
def test_schemas_are_those_of_the_golden_files(dataset: str, kind: str):
    """Names, types and order of all 36 datasets' columns are those of real Cryo's files, empty or not."""
    assert schema(dataset).equals(pq.read_schema(GOLDEN / dataset / f"{kind}.parquet"), check_metadata=False)


@pytest.mark.parametrize("dataset", sorted(ROWS))
def test_no_column_is_constant_that_is_not_in_the_golden_file(dataset: str):
    """A column that varies in real Cryo's small golden file varies here too, in 400 blocks."""
    golden = pq.read_table(GOLDEN / dataset / "full.parquet")
    table = build(Chain(1), dataset, range(40, 440))
    assert table.num_rows >= 100
    for name in golden.column_names:
        if len(set(golden[name].to_pylist())) > 1:
            assert len(set(table[name].to_pylist())) > 1, name


@pytest.mark.parametrize("dataset", sorted(ROWS))
def test_a_table_is_the_concatenation_of_its_blocks(dataset: str):
    """Random access: a block's rows do not depend on what was asked with it."""
    chain = Chain(1, seed=3)
    whole = build(chain, dataset, range(100_000_000, 100_000_010))
    parts = [build(Chain(1, seed=3), dataset, [number]) for number in range(100_000_000, 100_000_010)]
    assert pa.concat_tables(parts).equals(whole)


@pytest.mark.parametrize("numbers", [[None, 5], ["5"], [5.0]])
def test_a_file_whose_block_numbers_are_none_is_unreadable(numbers: list[object]):
    """Checks compare block numbers with a range: what is no number has no facts."""
    written = io.BytesIO()
    pq.write_table(pa.table({"block_number": numbers}), written)
    assert facts_of(written.getvalue()) == {"unreadable": "TypeError"}
