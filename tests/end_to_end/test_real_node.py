"""The main job on the real thing: real Cryo reading a real anvil node, into a real MinIO."""

from pathlib import Path

import pytest
from support.worker import PAYLOAD, Target, Worker, bare_cryo, expected_contents, real_mode

from harness.containers.node import Anvil

DATASETS = [
    "blocks",
    "transactions",
    "logs",
    "traces",
    "native_transfers",
    "contracts",
    "erc20_transfers",
    "geth_calls",
]


AT_THE_HEAD = {"TRACE_CRYO_CONFIRMATIONS": "0"}
"""Anvil's own `finalized` lies behind its head, and nobody mines on."""


@pytest.mark.docker
@pytest.mark.real_cryo
@pytest.mark.parametrize("dataset", DATASETS)
def test_what_real_cryo_reads_from_a_real_node_is_in_a_real_store(
    dataset: str, anvil_process: Anvil, minio_target: Target, worker: Worker, tmp_path: Path
):
    """RNG-2, LAY-1 to LAY-9, MOD-3, MOD-4: stored bytes are those of a bare Cryo run, and nothing else is there."""
    payload = PAYLOAD | {
        "chain_id": anvil_process.mined.chain_id,
        "cryo_dataset_name": dataset,
        "range_start": 1,
        "range_end": anvil_process.mined.head + 1,
    }
    files = bare_cryo("cryo-from-wheel", tmp_path / "bare", payload, {"ETH_RPC_URL": anvil_process.url})
    result = worker.run(minio_target, payload, **real_mode(anvil_process.url) | AT_THE_HEAD)
    assert result.returncode == 0, result.stderr
    assert minio_target.contents() == expected_contents(payload, files)


@pytest.mark.real_cryo
def test_rng_2_a_range_past_the_head_of_a_real_node_publishes_nothing(
    anvil_process: Anvil, file_target: Target, worker: Worker
):
    """RNG-2, RNG-5, PUB-3: the attempt is retryable before Cryo starts, the store is empty."""
    payload = PAYLOAD | {
        "chain_id": anvil_process.mined.chain_id,
        "range_start": 1,
        "range_end": anvil_process.mined.head + 2,
    }
    result = worker.run(file_target, payload, **real_mode(anvil_process.url) | AT_THE_HEAD)
    assert (result.returncode, result.stdout) == (75, "")
    assert "RangeNotFinal" in result.stderr
    assert file_target.contents() == {}
