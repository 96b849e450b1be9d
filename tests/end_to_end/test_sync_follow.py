"""`sync` follows the head of a chain: the fake pool's, and anvil's while it mines, restarts and reorganises."""

import json
import signal
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from support.sync_runs import SyncRun, events_in, manifests, read_until
from support.worker import BIN, Target

from harness.containers.anvil_chain import GENESIS_TIME, SECONDS_PER_BLOCK, Rpc
from harness.containers.engine import EngineError
from harness.containers.node import anvil_process
from harness.fakes.rpc.node import Node
from harness.fakes.rpc.server import RpcPool
from harness.world.chain import Chain

JOB = """\
kind: chain_sync
name: head
chain_id: 31337
mode: {kind: follow_head, from_block: 1, tail_lag: 0, head_poll_interval_seconds: 0.2, max_head_age_seconds: 2}
streams:
  blocks: {cryo_dataset_name: blocks, rpc_pool: local, chunk_size: 50, max_inflight: 2}
  logs: {cryo_dataset_name: logs, rpc_pool: local, chunk_size: 100, max_inflight: 2}
"""


def real(url: str, program: str) -> dict[str, str]:
    """Return the environment of real mode."""
    return {"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": program, "TRACE_RPC_POOL_LOCAL_URL": url}


def wait_for(process: subprocess.Popen[str], name: str, count: int = 1) -> list[dict[str, Any]]:
    """Read the log until an event has come `count` times; the process must not end before."""
    left = count

    def is_last(event: dict[str, Any]) -> bool:
        nonlocal left
        left -= event["event"] == name
        return left == 0

    events = read_until(process, is_last)
    assert left == 0, events[-5:]
    return events


def stop(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Stop a sync with SIGTERM and return what it printed."""
    process.send_signal(signal.SIGTERM)
    return process.communicate()


def ranges(sync: SyncRun) -> list[str]:
    """Return the block ranges of the published versions of all streams, sorted as text."""
    return sorted(key.split("/")[3] for key in manifests(sync))


def test_a_sync_follows_the_head_of_a_pool(tmp_path: Path, file_target: Target):
    """It plans what becomes final, goes on after a restart, and SIGTERM is its normal end."""
    with RpcPool(Node(Chain(31337), head=170)) as pool:
        sync = SyncRun(tmp_path, file_target, JOB, **real(pool.url, "fake-cryo"))
        with sync.running("--json") as process:
            wait_for(process, "version.published", 3)  # 1:51 and 51:101 of blocks, 1:101 of logs
            status = sync.status()
            assert (status["state"], status["heads"][0]["head"], status["heads"][0]["final"]) == ("running", 170, 106)
            pool.set_head(214)
            wait_for(process, "version.published", 1)
            printed, _ = stop(process)
        assert process.returncode == 0
        assert [stream["missing"] for stream in json.loads(printed)["streams"]] == [0, 0]
        pool.set_head(265)
        done = sync.run("sync", "--once", "--json")
        assert (done.returncode, len(events_in(done.stderr)) > 0) == (0, True)
        assert [stream["blocks"] for stream in json.loads(done.stdout)["streams"]] == [200, 200]
    assert ranges(sync) == ["101_151", "101_201", "151_201", "1_101", "1_51", "51_101"]


def test_without_a_node_a_sync_that_follows_plans_nothing_and_says_why(tmp_path: Path, file_target: Target):
    """It fails closed: with `--once` the exit code is 1; in fake mode there is no head at all."""
    sync = SyncRun(tmp_path, file_target, JOB)
    fake = sync.run("sync")
    assert (fake.returncode, "TRACE_CRYO_MODE" in fake.stderr) == (78, True)
    sync.more = real("http://127.0.0.1:9", "fake-cryo")
    done = sync.run("sync", "--once")
    assert done.returncode == 1
    assert "pool local: the head is not known: " in done.stderr
    assert manifests(sync) == []
    status = sync.run("status")
    assert "the head is not known" in status.stdout


class Mining:
    """Mines blocks on anvil and replaces the last ones."""

    def __init__(self, rpc: Rpc, head: int) -> None:
        self.rpc, self.time = rpc, GENESIS_TIME + (head + 1) * SECONDS_PER_BLOCK

    def mine(self, blocks: int) -> None:
        """Mine empty blocks."""
        for _ in range(blocks):
            self.time += SECONDS_PER_BLOCK
            self.rpc.call("evm_mine", {"timestamp": self.time})

    def reorganise(self, depth: int) -> None:
        """Replace the last blocks by as many others."""
        self.rpc.call("anvil_reorg", depth, [])


@pytest.mark.long
@pytest.mark.real_cryo
def test_a_sync_follows_anvil_through_a_restart_a_reorg_and_its_end(tmp_path: Path, file_target: Target):
    """Only final chunks are published, without a gap; the reorg is reported; without a node nothing more is planned."""
    with ExitStack() as stack, ExitStack() as node:
        try:
            anvil = node.enter_context(anvil_process())
        except EngineError as problem:
            pytest.skip(str(problem))
        mining = Mining(node.enter_context(closing(Rpc(anvil.url))), anvil.mined.head)
        sync = SyncRun(tmp_path, file_target, JOB, **real(anvil.url, "cryo-from-wheel"))
        with sync.running() as process:
            wait_for(process, "version.published", 9)  # blocks and logs up to 301
            mining.mine(60)
            wait_for(process, "version.published", 1)
            stop(process)
        assert process.returncode == 0
        mining.mine(60)
        process = stack.enter_context(sync.running())
        wait_for(process, "version.published", 2)
        mining.reorganise(100)
        mining.mine(60)
        (reorg,) = (event for event in wait_for(process, "sync.reorg") if event["event"] == "sync.reorg")
        wait_for(process, "version.published", 1)
        node.close()
        wait_for(process, "sync.head_unavailable")
        _, printed = stop(process)
    assert process.returncode == 1
    assert "a reorg replaced blocks" in printed
    assert (reorg["pool"], reorg["to_block"]) == ("local", 401)
    assert without_gaps(sync, 451)
    assert sync.status()["reorgs"][0]["blocks"] == [reorg["from_block"], 401]


def without_gaps(sync: SyncRun, end: int) -> bool:
    """Check with `gaps` that the first stream is published up to `end`."""
    folders = sorted((sync.folder / "out" / "cryo" / "31337").iterdir(), key=lambda each: -len(list(each.iterdir())))
    command = [BIN / "cryo-ingest", "gaps", f"file://{folders[0]}", "--from", "1", "--to", str(end)]
    found = subprocess.run(command, env=sync.environment(), capture_output=True, text=True, check=False)
    return (found.returncode, found.stderr) == (0, "")
