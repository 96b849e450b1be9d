"""`plan --sample` on the fake node: its estimates are compared with what the sync then writes."""

import json
from pathlib import Path

import pytest
from support.sync_runs import SyncRun
from support.worker import Target

from harness.fakes.rpc.node import Node
from harness.fakes.rpc.server import RpcPool
from harness.world.chain import Chain

JOB = """\
kind: chain_sync
name: sampled
chain_id: 31337
mode: {kind: fixed_target, from_block: 0, to_block: 3000}
streams:
  blocks: {cryo_dataset_name: blocks, rpc_pool: local, chunk_size: 1500, max_inflight: 2}
  logs: {cryo_dataset_name: logs, rpc_pool: local, chunk_size: 1500, max_inflight: 2}
"""


@pytest.mark.long
@pytest.mark.real_cryo
def test_rows_bytes_and_calls_are_those_that_the_sync_then_has(tmp_path: Path, file_target: Target):
    """Rows and bytes are within 20%, calls within 2%; nothing of the samples is published."""
    with RpcPool(Node(Chain(31337), head=4000)) as pool:
        real = {"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": "cryo-from-wheel", "TRACE_RPC_POOL_LOCAL_URL": pool.url}
        sync = SyncRun(tmp_path, file_target, JOB, **real)
        (tmp_path / "prices.yaml").write_text("eth_getLogs: 75\nother: 20\n")
        done = sync.run("plan", "--sample", "--json", "--prices", str(tmp_path / "prices.yaml"))
        assert done.returncode == 0, done.stderr
        plan = json.loads(done.stdout)
        assert sync.target.contents() == {}
        assert sync.run("sync").returncode == 0
        status = sync.status()
    folders = {
        stream["dataset_key"]: tmp_path / "out" / "cryo" / "31337" / stream["dataset_uuid"]
        for stream in plan["streams"]
    }
    for stream in plan["streams"]:
        files = list(folders[stream["dataset_key"]].rglob("*.parquet"))
        written = sum(file.stat().st_size for file in files)
        assert len(files) == stream["files"]
        assert stream["estimate"]["bytes"] == pytest.approx(written, rel=0.2)
    assert plan["streams"][0]["estimate"]["rows"] == 3000
    calls = plan["calls"]
    assert sum(calls.values()) == pytest.approx(status["traffic"]["calls"], rel=0.02)
    assert plan["credits"] == 75 * calls["eth_getLogs"] + 20 * (sum(calls.values()) - calls["eth_getLogs"])
