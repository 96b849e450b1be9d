"""A sync finishes on a flaky pool and a store that is away for a while, and `status` says what happened."""

import threading
from pathlib import Path

import pytest
from support.sync_runs import SyncRun, events_in, manifests
from support.worker import behind

from harness.fakes.rpc.journal import Call
from harness.fakes.rpc.node import Node
from harness.fakes.rpc.server import RpcPool
from harness.faults import StoreFault
from harness.faults.rpc import Status
from harness.stores.bucket import S3Endpoint
from harness.stores.proxy import StoreProxy
from harness.world.chain import Chain

JOB = """\
kind: chain_sync
name: flaky
chain_id: 31337
mode: {kind: fixed_target, from_block: 0, to_block: 1200}
streams:
  blocks: {cryo_dataset_name: blocks, rpc_pool: local, chunk_size: 300, max_inflight: 2}
  transactions: {cryo_dataset_name: transactions, rpc_pool: local, chunk_size: 300, max_inflight: 2}
  logs: {cryo_dataset_name: logs, rpc_pool: local, chunk_size: 300, max_inflight: 2}
"""
RANGES = 12


@pytest.mark.long
def test_a_sync_finishes_on_a_flaky_pool_and_while_the_store_is_away(tmp_path: Path, cryo_moto: S3Endpoint):
    """RPC-1, RPC-4: 1 in 100 requests fails, one endpoint dies, and the store answers 503 for 40 requests in a row."""
    bucket, node = cryo_moto.make_bucket(), Node(Chain(31337), head=2000)
    away = StoreFault(operation="any", do="slow-down", nth=20, every=1, times=40)
    with (
        RpcPool(node, [Status(500, nth=50, every=100)]) as dying,
        RpcPool(node, [Status(500, nth=50, every=100)]) as other,
        StoreProxy(cryo_moto.url, away) as proxy,
    ):
        calls = 0

        def die(_call: Call) -> None:
            nonlocal calls
            calls += 1
            if calls == 1500:
                threading.Thread(target=dying.vanish).start()  # it waits for the thread that calls this function

        dying.on_call(die)
        pools = {"TRACE_RPC_POOL_LOCAL_URL": f"{dying.url} {other.url}"}
        mode = {"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": "fake-cryo", "TRACE_CRYO_DEADLINE_SECONDS": "60"}
        sync = SyncRun(tmp_path, behind(bucket, proxy), JOB, **pools, **mode)
        done = sync.run("sync", "--json")
        assert done.returncode == 0, done.stderr
        assert away in proxy.fired
        assert dying.fired
        status = sync.status()
        page = sync.run("status").stdout
    assert len(manifests(sync)) == RANGES
    names = {event["event"] for event in events_in(done.stderr)}
    assert names & {"endpoint.failed_over", "endpoint.rejected"}
    assert [stream["missing_blocks"] for stream in status["streams"]] == [0, 0, 0]
    assert status["traffic"]["retried_calls"] > 0
    assert f"{status['traffic']['retried_calls']:,} retried calls" in page
