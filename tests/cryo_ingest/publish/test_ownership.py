"""LAY-12: published data of another dataset under the prefix are a fatal error, and are not changed."""

import json
from pathlib import Path

import pytest
from support.publishing import COMPLETE, KEYS, REAL, TASK, Publisher, holding, make_store

from cryo_ingest.errors import DatasetMismatch
from cryo_ingest.ports import Extraction
from cryo_ingest.publish.version import Version
from harness.stores.memory import MemoryStore

OTHER = Version.from_task(TASK.model_copy(update={"cryo_dataset_name": "logs"}), mode="real")
THEIRS = dict.fromkeys(OTHER.manifest.parquet_keys, b"real rows xyz")
NAMES = [key.removeprefix(REAL.prefix) for key in THEIRS]
ELSEWHERE = "cryo/1/other/0_1/v/ethereum__logs__00000000_to_00000000.parquet"

MANIFESTS = {
    "its own": (REAL.manifest_key, OTHER.manifest.to_bytes()),
    "another version number": (REAL.manifest_key, json.dumps({"version": 2, "parquet_keys": list(THEIRS)}).encode()),
    "more fields": (REAL.manifest_key, json.dumps({"rows": 3, "files": [{"key": key} for key in THEIRS]}).encode()),
    "names only": (REAL.manifest_key, json.dumps({"parquet_keys": NAMES}).encode()),
    "URLs": (REAL.manifest_key, json.dumps([f"s3://memory/{key}" for key in THEIRS]).encode()),
    "ours too": (REAL.manifest_key, json.dumps({"parquet_keys": [*KEYS, *THEIRS]}).encode()),
    "a folder below": (f"{REAL.prefix}old/_manifest.json", OTHER.manifest.to_bytes()),
}


@pytest.mark.parametrize("form", MANIFESTS)
def test_lay_12_files_that_a_manifest_lists_are_fatal(form: str, publisher: Publisher, extraction: Extraction):
    """LAY-12: whatever the manifest's form, nothing is replaced or deleted, before and after Cryo runs."""
    key, content = MANIFESTS[form]
    contents = THEIRS | {key: content, REAL.prefix + "garbage": b"x"}
    store = holding(contents)
    with pytest.raises(DatasetMismatch, match=key) as caught:
        publisher.use_existing(store)
    assert caught.value.key in THEIRS
    assert "dataset_uuid" in str(caught.value)
    with pytest.raises(DatasetMismatch):
        publisher.publish(store, extraction)
    assert store.contents() == contents
    assert store.did("create") + store.did("replace") + store.did("delete") == []


class Intruder:
    """Publishes the other dataset just before the nth operation of a kind, unless the version has a manifest."""

    def __init__(self, store: MemoryStore, operation: str, nth: int) -> None:
        self._store, self._operation, self._left = store, operation, nth
        self.published = False

    def __call__(self, operation: str, _key: str) -> None:
        """Count an operation."""
        self._left -= operation == self._operation
        if self._left == 0 and not self.published and REAL.manifest_key not in self._store.objects:
            self.published = True
            for key, content in THEIRS.items():
                self._store.hold(key, content)
            self._store.hold(REAL.manifest_key, OTHER.manifest.to_bytes())


@pytest.mark.parametrize("operation", ["list", "create", "delete"])
def test_lay_12_data_that_are_published_during_an_upload_are_not_changed(
    operation: str, tmp_path: Path, extraction: Extraction
):
    """LAY-12: two datasets with one identity may run concurrently; the later one fails."""
    stopped = 0
    for nth in range(1, 12):
        store = holding({REAL.prefix + "stray": b"x"})
        intruder = store.before = Intruder(store, operation, nth)
        folder = tmp_path / f"{nth}"
        folder.mkdir()
        try:
            Publisher(folder).publish(store, extraction)
        except DatasetMismatch:
            stopped += 1
            assert THEIRS.items() <= store.contents().items()
            assert store.contents()[REAL.manifest_key] == OTHER.manifest.to_bytes()
        else:
            assert not intruder.published
    assert stopped > 0


def test_lay_12_a_manifest_that_lists_files_of_another_prefix_is_not_overwritten(
    publisher: Publisher, extraction: Extraction
):
    """LAY-12: keys outside the prefix count too, if their objects exist."""
    manifest = json.dumps({"parquet_keys": [ELSEWHERE]}).encode()
    store = holding({REAL.manifest_key: manifest, ELSEWHERE: b"real rows xyz"})
    with pytest.raises(DatasetMismatch, match="ethereum__logs"):
        publisher.publish(store, extraction)
    store = holding({REAL.manifest_key: manifest})
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE


def test_lay_6_files_that_no_manifest_lists_are_leftovers(publisher: Publisher, extraction: Extraction):
    """LAY-6: another dataset's files without a manifest are deleted."""
    store = holding(THEIRS | {REAL.prefix + "old/_manifest.json": b"{"})
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE


def test_lay_10_a_manifest_of_missing_files_is_replaced(publisher: Publisher, extraction: Extraction):
    """LAY-10: such a version is incomplete."""
    store = make_store()
    store.hold(REAL.manifest_key, OTHER.manifest.to_bytes())
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE
