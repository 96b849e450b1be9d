"""`cryo-ingest plan`: what is printed for a job and a store, and how mistakes end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.jobs import keys_of

from cryo_ingest.sync.derived import derive_streams
from cryo_ingest.sync.job_file import parse_job
from harness import contract

JOB = """\
kind: chain_sync
name: two
chain_id: 31337
mode: {kind: fixed_target, from_block: 0, to_block: 5000}
streams:
  blocks: {cryo_dataset_name: blocks, rpc_pool: any, chunk_size: 2000, max_inflight: 2}
  logs: {cryo_dataset_name: logs, rpc_pool: any, chunk_size: 1000, max_inflight: 2}
"""
FOLLOW = JOB.replace(
    "kind: fixed_target, from_block: 0, to_block: 5000",
    "kind: follow_head, from_block: 0, tail_lag: 1, head_poll_interval_seconds: 1, max_head_age_seconds: 9",
)


def run_plan(folder: Path, *words: str, job: str = JOB) -> subprocess.CompletedProcess[str]:
    (folder / "job.yaml").write_text(job)
    command = [Path(sys.executable).parent / "cryo-ingest", "plan", folder / "job.yaml", *words]
    environment = {"PATH": "/usr/bin:/bin", "TRACE_ORG_ID": "acme"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Return the URL of a store that has the first range of blocks, and an unfinished range of logs."""
    blocks, logs = derive_streams(parse_job(JOB.encode(), name="job.yaml"), org_id="acme")
    for key in (*keys_of(blocks, (0, 2000)), *keys_of(logs, (1000, 1500))[:-1]):
        path = tmp_path / "store" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return f"file://{tmp_path}/store"


def test_the_plan_says_what_is_published_what_is_missing_and_the_calls(tmp_path: Path, store: str):
    """Published blocks are not planned again; the calls are those of the missing ones."""
    done = run_plan(tmp_path, "--store", store, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    plan = json.loads(done.stdout)
    blocks, logs = plan["streams"]
    assert (plan["org_id"], plan["level"], plan["to_block"]) == ("acme", "chain", 5000)
    assert (blocks["missing_blocks"], blocks["next_block"], blocks["tasks"], blocks["files"]) == (3000, 2000, 2, 3)
    assert (logs["missing_blocks"], logs["tasks"], logs["unfinished_ranges"]) == (5000, 6, 1)
    assert blocks["calls"]["eth_getBlockByNumber"] == 3002
    assert plan["calls"]["eth_getLogs"] == 50


def test_tasks_are_payloads_that_a_worker_accepts_in_block_order(tmp_path: Path, store: str):
    """PAY-1: each line is the payload of one task; the lowest blocks of all streams come first."""
    done = run_plan(tmp_path, "--store", store, "--tasks")
    payloads = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(contract.payload_is_valid(payload) for payload in payloads)
    found = [(payload["dataset_key"], payload["range_start"], payload["range_end"]) for payload in payloads]
    assert found == [
        ("logs", 0, 1000),
        ("logs", 1000, 1500),
        ("logs", 1500, 2500),
        ("blocks", 2000, 4000),
        ("logs", 2500, 3500),
        ("logs", 3500, 4500),
        ("blocks", 4000, 5000),
        ("logs", 4500, 5000),
    ]


def test_without_a_terminal_the_tables_are_tab_separated(tmp_path: Path, store: str):
    """Scripts can cut them; notes go to standard error."""
    done = run_plan(tmp_path, "--store", store)
    lines = done.stdout.splitlines()
    assert lines[0].split("\t")[:4] == ["stream", "blocks", "published", "missing"]
    assert lines[1].split("\t")[:7] == ["blocks", "5000", "2000", "3000", "2000", "2", "3"]
    assert done.stderr == "logs: 1 range(s) were begun and are not published\n"


def test_a_job_that_follows_the_head_is_planned_to_a_given_block(tmp_path: Path, store: str):
    """Its end is not in the file, and `plan` asks no node."""
    assert run_plan(tmp_path, "--store", store, job=FOLLOW).returncode == 64
    done = run_plan(tmp_path, "--store", store, "--to", "3000", "--json", job=FOLLOW)
    assert [stream["missing_blocks"] for stream in json.loads(done.stdout)["streams"]] == [1000, 3000]


@pytest.mark.parametrize(
    ("words", "job", "code", "message"),
    [
        (("--store", "file:///nowhere"), JOB.replace("31337", "0"), 65, "line 3: chain_id: must be a whole number"),
        (("--store", "ftp://x"), JOB, 64, "must be s3://bucket"),
        ((), JOB, 78, "S3_BUCKET: must be set if there is no --store"),
        (("--store", "file:///nowhere", "--to", "9"), JOB, 64, "only for a job that follows the head"),
    ],
)
def test_a_mistake_ends_with_its_exit_code(tmp_path: Path, words: tuple[str, ...], job: str, code: int, message: str):
    """The exit code says whose mistake it is: the command line's, the job's or the environment's."""
    done = run_plan(tmp_path, *words, job=job)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in " ".join(done.stderr.replace("│", " ").split())
