"""Real Cryo on nodes that lag, prune or omit fields (`real-cryo-0.3.2.md`, sections 0 and 4)."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.fakes.rpc import Node, RpcPool
from harness.faults import RpcFault
from harness.faults import rpc as do
from harness.world.chain import Chain

CHAIN = Chain(1)
PANIC = do.Fields({"timestamp": "0x100000000"})
BIN = Path(sys.executable).parent

pytestmark = [
    pytest.mark.real_cryo,
    pytest.mark.skipif(find_spec("cryo") is None, reason="this interpreter has no wheel of Cryo 0.3.2"),
]


def extract(dataset: str, folder: Path, node: Node, *faults: RpcFault):
    """Run real Cryo on blocks 100 to 119 in chunks of 10 and return its exit code and the rows by chunk."""
    command = [BIN / "cryo-from-wheel", dataset, "-b", "100:120", "-c", "10", "-o", folder]
    with RpcPool(node, list(faults)) as pool:
        ended = subprocess.run(
            command, env=os.environ | {"ETH_RPC_URL": pool.url}, check=False, stdout=subprocess.DEVNULL, timeout=120
        )
        assert all(any(call.fault is fault for call in pool.fired) for fault in faults)
    paths = sorted(folder.glob("*.parquet"))
    return ended.returncode, {int(path.stem[-20:-12]): pq.read_table(path).to_pylist() for path in paths}


@pytest.mark.parametrize("dataset", ["balance_diffs", "code_diffs", "nonce_diffs", "storage_diffs", "vm_traces"])
def test_a_pruned_node_gives_empty_diffs_with_exit_code_0(dataset: str, tmp_path: Path):
    """Surprise 7: if `trace_replayBlockTransactions` returns an empty list, blocks with transactions have no rows."""
    fault = do.Result([], method="trace_replayBlockTransactions")
    assert extract(dataset, tmp_path, Node(CHAIN), fault) == (0, {100: [], 110: []})


def test_receipts_without_a_status_are_failures(tmp_path: Path):
    """Surprise 9: without a status, as before block 4,370,000 of mainnet, `success` is always false."""
    fault = do.Fields(drop=("status",), method="eth_getBlockReceipts")
    code, chunks = extract("transactions", tmp_path, Node(CHAIN), fault)
    rows = [row for chunk in chunks.values() for row in chunk]
    assert (code, len(rows)) == (0, sum(len(CHAIN.transactions(number)) for number in range(100, 120)))
    assert all(row["success"] == (row["gas_used"] == 0) for row in rows)


@pytest.mark.parametrize("dataset", ["blocks", "transactions"])
def test_past_the_head_a_chunk_has_no_file(dataset: str, tmp_path: Path):
    """Section 4: a missing block fails its whole chunk, exit 1."""
    code, chunks = extract(dataset, tmp_path, Node(CHAIN, head=114))
    assert (code, list(chunks)) == (1, [100])


def test_logs_past_the_head_are_an_error_on_anvil(tmp_path: Path):
    """Section 4: anvil's error fails the chunk, exit 1."""
    code, chunks = extract("logs", tmp_path, Node(CHAIN, head=114))
    assert (code, list(chunks)) == (1, [100])


def test_logs_past_the_head_are_silently_missing_elsewhere(tmp_path: Path):
    """Surprise 4: if a node returns `[]` past its head, the file's name includes blocks that the node did not have."""
    code, chunks = extract("logs", tmp_path, Node(CHAIN, head=114, logs_past_head_fail=False))
    assert (code, list(chunks)) == (0, [100, 110])
    assert {row["block_number"] for row in chunks[110]} <= set(range(110, 115))


@pytest.mark.parametrize("action", [do.Status(500), do.Error(-32603, "internal error"), do.Raw("<html>"), do.Close()])
def test_without_a_chain_id_nothing_is_written(action: do.Action, tmp_path: Path):
    """Section 4: after a fault of `eth_chainId` the exit code is 1 and no file is written."""
    assert extract("blocks", tmp_path, Node(CHAIN), replace(action, method="eth_chainId")) == (1, {})
    assert not list(tmp_path.rglob("*.json"))


def test_a_chunk_that_panics_is_in_no_list_of_the_report(tmp_path: Path):
    """Section 3: only the exit code and the missing file show it."""
    code, chunks = extract("blocks", tmp_path, Node(CHAIN), replace(PANIC, method="eth_getBlockByNumber", block=105))
    (report,) = (tmp_path / ".cryo" / "reports").iterdir()
    results = json.loads(report.read_text(encoding="utf-8"))["results"]
    assert (code, list(chunks), len(results["completed_paths"]), results["errored_paths"]) == (1, [110], 1, [])


def test_a_chunk_fails_after_all_retries(tmp_path: Path):
    """Section 9: an error that is retried fails the chunk after five retries."""
    fault = do.Error(-32005, "limit exceeded", method="eth_getBlockByNumber", block=105)
    with RpcPool(Node(CHAIN), [fault]) as pool:
        words = "blocks -b 100:110 --initial-backoff 5"
        ended = subprocess.run(
            [BIN / "cryo-from-wheel", *words.split(), "-o", tmp_path],
            env=os.environ | {"ETH_RPC_URL": pool.url},
            check=False,
            stdout=subprocess.DEVNULL,
        )
        fired = [call for call in pool.journal if call.fault is not None]
    assert (ended.returncode, len(fired), list(tmp_path.glob("*.parquet"))) == (1, 6, [])
