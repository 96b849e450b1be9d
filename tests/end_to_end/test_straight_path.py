"""The main job, end to end: {fake, real} Cryo into {file, moto, MinIO}, for each dataset that the fakes model."""

import hashlib
import json
from pathlib import Path

import pytest
from support.worker import PAYLOAD, Target, Worker, bare_cryo, events, expected_contents, prefix_of, real_mode

from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import RpcPool
from harness.world.chain import Chain


@pytest.mark.parametrize(
    ("mode", "dataset", "target"),
    [
        ("fake", "blocks", "file"),
        ("fake", "logs", "moto"),
        pytest.param("real", "transactions", "file", marks=pytest.mark.real_cryo),
        pytest.param("real", "blocks", "moto", marks=pytest.mark.real_cryo),
        pytest.param("real", "logs", "minio", marks=[pytest.mark.real_cryo, pytest.mark.docker]),
    ],
    indirect=["target"],
)
def test_the_store_holds_what_a_bare_cryo_wrote_and_nothing_else(
    mode: str, dataset: str, target: Target, worker: Worker, pool: RpcPool, tmp_path: Path
):
    """RNG-1, RNG-2, VER-1, LAY-1 to LAY-9, PUB-1, PUB-2, MOD-1 to MOD-3, STG-3: bytes, keys and manifest are exact."""
    payload = PAYLOAD | {"cryo_dataset_name": dataset}
    if mode == "real":
        worker.environment |= real_mode(pool.url)
        files = bare_cryo("cryo-from-wheel", tmp_path / "bare", payload, {"ETH_RPC_URL": pool.url})
    else:
        files = bare_cryo("fake-cryo", tmp_path / "bare", payload, {"FAKE_CRYO_CHAIN_ID": str(payload["chain_id"])})
    result = worker.run(target, payload)
    assert result.returncode == 0, result.stderr
    assert len(files) == 3
    assert target.contents() == expected_contents(payload, files)
    assert json.loads(result.stdout) == {
        "dataset_uuid": payload["dataset_uuid"],
        "dataset_version": prefix_of(payload).rstrip("/").rpartition("/")[2],
        "storage_ref": target.reference(prefix_of(payload)),
        "config_hash": payload["config_hash"],
        "range_start": payload["range_start"],
        "range_end": payload["range_end"],
    }
    assert list(worker.staging.iterdir()) == []
    if target.bucket is not None:
        for name, content in files.items():
            metadata = target.bucket.metadata(prefix_of(payload) + name)
            assert metadata["sha256"] == hashlib.sha256(content).hexdigest()
            assert (metadata["evidence"], int(metadata["rows"]) > 0) == ("chain" if mode == "real" else "rows", True)
            assert int(metadata["block-min"]) <= int(metadata["block-max"])


def test_lay_10_the_second_run_publishes_the_same_without_running_cryo(target: Target, worker: Worker):
    """LAY-10, PUB-6: same bytes, same publication, no Cryo; whatever the attempt's number."""
    first = worker.run(target)
    before = target.contents()
    second = worker.run(target, words=("--attempt", "2"))
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert target.contents() == before
    assert [event["event"] for event in events(second.stderr)] == ["version.adopted", "version.published"]


@pytest.mark.real_cryo
def test_pub_2_an_empty_result_is_a_whole_version_too(target: Target, worker: Worker, pool: RpcPool):
    """LAY-8: a range without a single log publishes its file of no rows, the extent in its metadata empty."""
    payload = PAYLOAD | {"cryo_dataset_name": "logs", "range_start": 4048, "range_end": 4064}
    result = worker.run(target, payload, **real_mode(pool.url))
    assert result.returncode == 0, result.stderr
    keys = sorted(target.contents())
    assert [key.removeprefix(prefix_of(payload)) for key in keys] == [
        "_manifest.json",
        "network_31337__logs__00004048_to_00004063.parquet",
    ]
    if target.bucket is not None:
        metadata = target.bucket.metadata(keys[1])
        assert (metadata["rows"], metadata.get("block-min", ""), metadata.get("block-max", "")) == ("0", "", "")


@pytest.mark.real_cryo
def test_lay_9_names_past_eight_digits_and_a_known_network(moto_target: Target, worker: Worker, tmp_path: Path):
    """LAY-9, RNG-1: real Cryo on mainnet past block 100,000,000 writes the names that the worker expects."""
    payload = PAYLOAD | {"chain_id": 1, "range_start": 99_999_990, "range_end": 100_001_000}
    with RpcPool(Node(Chain(1), head=200_000_000)) as pool:
        result = worker.run(moto_target, payload, **real_mode(pool.url))
        files = bare_cryo("cryo-from-wheel", tmp_path / "bare", payload, {"ETH_RPC_URL": pool.url})
    assert result.returncode == 0, result.stderr
    assert moto_target.contents() == expected_contents(payload, files)
    assert "ethereum__blocks__99999990_to_100000989.parquet" in files
