"""`sync` as users run it, in fake mode: killed at any moment, stopped, paused, and with mistakes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.sync_runs import SyncRun, events_in, manifests, read_until
from support.worker import Target

JOB = """\
kind: chain_sync
name: small
chain_id: 31337
mode: {kind: fixed_target, from_block: 0, to_block: 1100}
streams:
  blocks: {cryo_dataset_name: blocks, rpc_pool: any, chunk_size: 200, max_inflight: 2}
  logs: {cryo_dataset_name: logs, rpc_pool: any, chunk_size: 300, max_inflight: 2}
"""
RANGES = 10
CRASHES = Path(__file__).resolve().parents[2] / "scripts" / "sync_crashes.py"


@pytest.fixture
def sync(tmp_path: Path, file_target: Target) -> SyncRun:
    return SyncRun(tmp_path, file_target, JOB)


def test_pub_6_a_sync_that_is_killed_again_and_again_publishes_each_range_once():
    """PUB-6, STG-4: after SIGKILL at ten seeded moments nothing is missing, extracted again or left in staging."""
    options = ["--ranges", "24", "--kills", "10", "--seed", "20"]
    ran = subprocess.run([sys.executable, CRASHES, *options], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "10 kills" in ran.stdout


def test_a_sync_without_its_state_publishes_only_what_is_missing(sync: SyncRun):
    """The store is the truth: the state can be lost."""
    assert sync.run("sync").returncode == 0
    state = next((sync.folder / "out" / ".cryo-sync").iterdir())
    for file in state.iterdir():
        file.unlink()
    first = manifests(sync)[0]
    (sync.folder / "out" / first).unlink()
    done = sync.run("sync")
    events = events_in(done.stderr)
    assert done.returncode == 0
    assert sum(event["event"] == "version.published" for event in events) == 1
    assert len(manifests(sync)) == RANGES


def test_the_first_sigterm_lets_running_attempts_end_and_the_next_sync_goes_on(sync: SyncRun):
    """The exit code is that of the signal; `status` shows what is missing, and that nothing runs."""
    with sync.start() as process:
        read_until(process, lambda event: event["event"] == "cryo.started")
        process.send_signal(signal.SIGTERM)
        rest = events_in(process.stderr.read()) if process.stderr else []
    assert process.returncode == 143
    names = [event["event"] for event in rest]
    assert "sync.draining" in names
    assert 1 <= len(manifests(sync)) < RANGES
    status = sync.status()
    assert status["state"] == "not running"
    assert sum(stream["missing_blocks"] for stream in status["streams"]) > 0
    assert list(sync.staging.rglob("*")) == []
    assert sync.run("sync").returncode == 0


def test_two_syncs_of_one_job_exclude_each_other_and_a_paused_one_waits(sync: SyncRun):
    """The second one ends with 75; `resume` lets the first one go on."""
    assert sync.run("pause").returncode == 0
    with sync.start() as process:
        read_until(process, lambda event: event["event"] == "sync.started")
        second = sync.run("sync")
        assert (second.returncode, "another process runs this job" in second.stderr) == (75, True)
        assert sync.status()["state"] == "paused"
        assert manifests(sync) == []
        assert sync.run("resume").returncode == 0
        process.communicate()
    assert process.returncode == 0
    assert len(manifests(sync)) == RANGES


def test_ranges_over_a_cap_are_split(sync: SyncRun):
    """CAP-1: no version exceeds the cap, and all blocks are published."""
    sync.write(JOB.replace("chunk_size: 300", "chunk_size: 1100"))
    done = sync.run("sync", "--json", MAX_TOTAL_PARQUET_BYTES_PER_RANGE="200000")
    assert done.returncode == 0, done.stderr
    assert any(event["event"] == "sync.range_split" for event in events_in(done.stderr))


def test_a_pool_without_a_url_blocks_its_stream_and_is_named(sync: SyncRun):
    """The exit code is 1; the message names the variables, and only for ranges that had started already."""
    done = sync.run("sync", TRACE_CRYO_MODE="real", TRACE_CRYO_BIN="fake-cryo", TRACE_CRYO_CONFIRMATIONS="0")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if " set aside: RpcPoolUnresolved" in line]
    assert {line.split()[0] for line in lines} == {"blocks", "logs"}
    assert len(lines) <= 4
    assert "TRACE_RPC_POOL_ANY_URL" in lines[0]
    status = sync.status()
    assert sum(stream["set_aside"] for stream in status["streams"]) == len(lines)
    assert status["streams"][0]["last_error"] == "RpcPoolUnresolved"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cryo_dataset_name: logs", "cryo_dataset_name: traces", "streams.logs.cryo_dataset_name: was logs"),
        ("chain_id: 31337", "chain_id: 1", "chain_id: was 31337"),
    ],
)
def test_a_change_that_would_mix_datasets_is_refused(sync: SyncRun, old: str, new: str, message: str):
    """A job that has run keeps its chain and datasets; `to_block` can be raised."""
    sync.write(JOB.replace("to_block: 1100", "to_block: 1"))
    assert sync.run("sync").returncode == 0
    sync.write(JOB.replace(old, new))
    done = sync.run("sync")
    assert (done.returncode, message in done.stderr) == (65, True)
