"""The datasets that a payload may name."""

import importlib.util
import json
from pathlib import Path

import pytest

from cryo_ingest.datasets import all_datasets, find_dataset
from cryo_ingest.errors import BadPayload

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_is_the_one_derived_from_the_measured_schemas():
    """`datasets.json` is what `scripts/derive_datasets.py` derives from the golden files."""
    spec = importlib.util.spec_from_file_location("derive_datasets", ROOT / "scripts" / "derive_datasets.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    measured = json.loads(script.SOURCE.read_text(encoding="utf-8"))
    assert json.loads((ROOT / "cryo_ingest" / "datasets.json").read_text(encoding="utf-8")) == script.derive(measured)


def test_pay_4_25_of_36_datasets_need_only_a_range():
    """PAY-4: the other 11 need more arguments."""
    datasets = all_datasets()
    assert len(datasets) == 36
    assert sum(not dataset.requires for dataset in datasets.values()) == 25


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("balances", "address"),
        ("javascript_traces", "js_tracer"),
        ("txs", "canonical name transactions"),
        ("events", "canonical name logs"),
        ("state_diffs", "balance_diffs, code_diffs, nonce_diffs, storage_diffs"),
        ("nonsense", "has no dataset nonsense. It has"),
        ("log", "did you mean logs?"),
    ],
)
def test_pay_4_an_unusable_name_is_rejected_with_advice(name: str, words: str):
    """PAY-4: unknown names, aliases, groups and datasets with arguments are bad payloads, each with advice."""
    with pytest.raises(BadPayload, match="cryo_dataset_name") as caught:
        find_dataset(name)
    assert words in str(caught.value)
