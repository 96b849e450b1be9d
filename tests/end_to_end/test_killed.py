"""`kill -9` of the worker at six points of an attempt, then a rerun: one whole version, no leftovers, no Cryo alive."""

import os
import subprocess
import threading
from pathlib import Path

import pytest
from support.processes import running
from support.worker import BIN, CHAIN_ID, PAYLOAD, Target, Worker, bare_cryo, behind, expected_contents, real_mode

from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import RpcPool
from harness.faults import RpcFault, StoreFault
from harness.faults.rpc import Hang
from harness.stores.bucket import S3Endpoint
from harness.stores.proxy import StoreProxy
from harness.world.chain import Chain

NODE = Node(Chain(CHAIN_ID), head=1_000_000)
TASK_ID = "6e484f2c-567a-44f3-8a5e-c0650b2a169f"
WORDS = ("--task-id", TASK_ID)

POINTS = {
    "before Cryo's first answer": Hang(method="eth_chainId"),
    "while Cryo works": Hang(method="eth_getBlockByNumber", block=2600),
    "before the second file is stored": StoreFault(operation="put", key=r"\.parquet$", do="hang", nth=2, times=1),
    "after the second file is stored": StoreFault(
        operation="put", key=r"\.parquet$", when="after", do="hang", nth=2, times=1
    ),
    "before the manifest is stored": StoreFault(operation="put", key=r"_manifest\.json$", do="hang", times=1),
    "after the manifest is stored": StoreFault(
        operation="put", key=r"_manifest\.json$", when="after", do="hang", times=1
    ),
}


@pytest.mark.real_cryo
@pytest.mark.parametrize("point", POINTS)
def test_stg_5_a_worker_killed_at_any_point_leaves_what_a_rerun_makes_whole(
    point: str, cryo_moto: S3Endpoint, worker: Worker, tmp_path: Path
):
    """STG-4, STG-5, LAY-5, LAY-6, LAY-10, PUB-6: whatever was done before, the rerun ends with the exact prefix."""
    bucket = cryo_moto.make_bucket()
    trouble = POINTS[point]
    reached = threading.Event()
    # A name of its own for Cryo, so that it can be told from other tests' when looking for survivors.
    cryo = tmp_path / "the-cryo-of-this-test"
    cryo.symlink_to(BIN / "cryo-from-wheel")
    fault = trouble if isinstance(trouble, StoreFault) else None
    faults = [trouble] if isinstance(trouble, RpcFault) else []
    with RpcPool(NODE, faults) as pool, StoreProxy(cryo_moto.url, fault, reached.set) as proxy:
        target = behind(bucket, proxy)
        environment = worker.variables(target, real_mode(pool.url) | {"TRACE_CRYO_BIN": str(cryo)})
        process = subprocess.Popen(
            worker.command(PAYLOAD, target, *WORDS), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with process:
            pool.on_fault(reached.set)
            assert reached.wait(30), "the point was never reached"
            process.kill()
            stdout, _ = process.communicate()
        assert stdout == b""
    manifests = [key for key in bucket.contents() if key.endswith("_manifest.json")]
    assert len(manifests) == (point == "after the manifest is stored")
    dead = worker.staging / TASK_ID / "1"
    assert dead.is_dir(), "the dead attempt's staging stays for its TTL"

    with RpcPool(NODE) as pool:
        target = Target(f"s3://{bucket.name}", bucket.environment(), bucket=bucket)
        rerun = worker.run(target, words=(*WORDS, "--attempt", "2"), **real_mode(pool.url))
        files = bare_cryo("cryo-from-wheel", tmp_path / "bare", PAYLOAD, {"ETH_RPC_URL": pool.url})
    assert rerun.returncode == 0, rerun.stderr
    assert bucket.contents() == expected_contents(PAYLOAD, files)
    assert running(str(cryo)) == []
    assert dead.is_dir()
    os.utime(dead, (0, 0))
    assert worker.run(target).returncode != 0, "in fake mode the prefix is refused, but the sweep comes first"
    assert not dead.exists()
