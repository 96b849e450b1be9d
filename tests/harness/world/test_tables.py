"""The chain as Cryo's tables, held against the golden files of the real one."""

import importlib.util
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.world.catalogue import by_range_alone, datasets
from harness.world.chain import Chain
from harness.world.tables import ROWS, build, schema

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "fixtures" / "golden"


def test_the_catalogue_is_the_one_derived_from_the_measured_schemas():
    """The harness's `datasets.json` says what `scripts/derive_datasets.py` derives from the goldens."""
    spec = importlib.util.spec_from_file_location("derive_datasets", ROOT / "scripts" / "derive_datasets.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    measured = json.loads(script.SOURCE.read_text(encoding="utf-8"))
    content = (ROOT / "harness" / "world" / "datasets.json").read_text(encoding="utf-8")
    assert json.loads(content) == script.derive(measured)
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
