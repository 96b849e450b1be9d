"""Scripted faults: fake Cryo does exactly what a scenario's faults describe."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.fakes.cryo.faults import NAMES
from harness.fakes.rpc import Node, RpcPool
from harness.faults.rpc import Fields, Result
from harness.schemas import SchemaMismatch, schema
from harness.world.chain import Chain
from harness.world.tables import build

BIN = Path(sys.executable).parent
FIRST, SECOND = "ethereum__blocks__00000000_to_00000009", "ethereum__blocks__00000010_to_00000019"


def start(url: str, folder: Path) -> subprocess.Popen[str]:
    """Start fake Cryo on blocks 0..19 in chunks of ten."""
    folder.mkdir(exist_ok=True)
    command = [BIN / "fake-cryo", "blocks", "-b", "0:20", "-c", "10", "-o", folder]
    environment = {"PATH": os.environ["PATH"], "ETH_RPC_URL": url}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def play(folder: Path, *faults: dict[str, Any]) -> tuple[int, str, str]:
    """Run fake Cryo once with a script and return its exit code and streams."""
    with RpcPool(Node(Chain(1), script={"faults": list(faults)})) as pool, start(pool.url, folder) as process:
        stdout, stderr = process.communicate(timeout=30)
    return process.returncode, stdout, stderr


def stems(folder: Path) -> list[str]:
    """List the files in a folder, without the reports."""
    return sorted(path.name for path in folder.iterdir() if path.is_file())


WHOLE = [f"{FIRST}.parquet", f"{SECOND}.parquet"]


@pytest.mark.parametrize(
    ("fault", "code", "files"),
    [
        ({"do": "exit", "code": 7, "after_chunks": 1}, 7, WHOLE[:1]),
        ({"do": "exit", "code": 0, "after_chunks": 0}, 0, []),
        ({"do": "signal", "number": 9, "after_chunks": 2}, -9, WHOLE),
        ({"do": "signal", "number": 6, "after_chunks": 1}, -6, WHOLE[:1]),
        ({"do": "fail_chunk", "chunk": 0, "message": "no luck"}, 1, WHOLE[1:]),
        ({"do": "omit_chunk", "chunk": 1}, 0, WHOLE[:1]),
        ({"do": "leave_temporary", "chunk": 1}, 0, [WHOLE[0], f"{SECOND}._tmp"]),
        ({"do": "disk_full", "chunk": 0}, 1, [f"{FIRST}._tmp", WHOLE[1]]),
        ({"do": "extra_file", "name": "ethereum__blocks__00000020_to_00000029.parquet"}, 0, None),
    ],
)
def test_exit_codes_signals_and_files(fault: dict[str, Any], code: int, files: list[str] | None, tmp_path: Path):
    """Any exit code or signal can be scripted, with exactly the files of the script."""
    ended, _, _ = play(tmp_path, fault)
    assert (ended, stems(tmp_path)) == (code, files if files is not None else sorted([*WHOLE, fault["name"]]))


def test_a_killed_run_leaves_its_incomplete_report(tmp_path: Path):
    """As in real Cryo, a killed run leaves its incomplete report, and the output names a failed chunk."""
    play(tmp_path / "killed", {"do": "signal", "number": 9, "after_chunks": 1})
    (report,) = (tmp_path / "killed" / ".cryo" / "reports").iterdir()
    assert report.name.startswith("incomplete_")
    _, stdout, _ = play(tmp_path / "failed", {"do": "fail_chunk", "chunk": 0, "message": "no luck"})
    assert "- no luck (1x)" in stdout


def test_rows_can_be_missing_or_duplicated_with_exit_0(tmp_path: Path):
    """Every fifth row is missing in one chunk, a block occurs twice in the other; the exit code is 0."""
    faults = ({"do": "omit_rows", "chunk": 0, "every": 5}, {"do": "replace_block", "block": 12, "by": 11})
    assert play(tmp_path, *faults)[0] == 0
    assert pq.read_table(tmp_path / WHOLE[0])["block_number"].to_pylist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert pq.read_table(tmp_path / WHOLE[1])["block_number"].to_pylist() == [10, 11, 11, *range(13, 20)]


def test_files_can_be_truncated_empty_or_of_another_schema(tmp_path: Path):
    """A footer is truncated, a file is empty, a column has another name; the exit code is 0."""
    assert play(tmp_path, {"do": "truncate_file", "chunk": 0, "bytes": 9}, {"do": "empty_file", "chunk": 1})[0] == 0
    with pytest.raises(pa.ArrowInvalid):
        pq.read_metadata(tmp_path / WHOLE[0])
    assert (tmp_path / WHOLE[1]).stat().st_size == 0
    play(tmp_path / "other", {"do": "wrong_schema", "chunk": 0})
    assert pq.read_schema(tmp_path / "other" / WHOLE[0]).names[0] == "surprise"


def test_output_can_be_large_and_contain_the_url(tmp_path: Path):
    """It prints the scripted amount of output, and its URL on stderr."""
    code, stdout, stderr = play(tmp_path, {"do": "flood", "bytes": 300_000}, {"do": "print_url"})
    assert code == 0
    assert len(stdout) > 299_000
    assert "http://127.0.0.1" in stderr


@pytest.mark.parametrize(("when", "files"), [("before", []), ("during", [f"{FIRST}._tmp"]), ("after", WHOLE)])
def test_it_can_hang_at_any_stage_and_ignore_sigterm(when: str, files: list[str], tmp_path: Path):
    """It hangs before, during or after writing; if it ignores SIGTERM, only SIGKILL ends it."""
    script = {"faults": [{"do": "hang", "when": when}, {"do": "ignore_sigterm"}]}
    with RpcPool(Node(Chain(1), script=script)) as pool, start(pool.url, tmp_path) as process:
        while stems(tmp_path) != files or pool.calls("harness_script") == 0:
            assert process.poll() is None
        while not ignores_sigterm(process.pid):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.poll() is None
        process.kill()
        process.communicate()
    assert process.returncode == -9


def ignores_sigterm(pid: int) -> bool:
    """Return whether a process ignores SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_file_can_grow_past_any_cap(tmp_path: Path):
    """A file grows in steps, then the process hangs until it is killed."""
    script = {"faults": [{"do": "grow", "bytes": 50_000, "step_bytes": 10_000, "pause_seconds": 0.001}]}
    growing = tmp_path / "growing._tmp"
    with RpcPool(Node(Chain(1), script=script)) as pool, start(pool.url, tmp_path) as process:
        while not growing.exists() or growing.stat().st_size < 50_000:
            assert process.poll() is None
        process.terminate()
        process.communicate()
    assert process.returncode == -15


def test_a_child_can_outlive_it(tmp_path: Path):
    """A child process is still in its process group after it has ended."""
    script = {"faults": [{"do": "orphan"}]}
    with RpcPool(Node(Chain(1), script=script)) as pool:
        command = [BIN / "fake-cryo", "blocks", "-b", "0:20", "-o", tmp_path]
        environment = {"PATH": os.environ["PATH"], "ETH_RPC_URL": pool.url}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        assert process.wait(timeout=30) == 0
    os.killpg(process.pid, signal.SIGKILL)  # raises where nobody is left in the group


def test_it_can_fail_the_first_runs_only(tmp_path: Path):
    """A fault on the script itself makes the first two runs fail and the third succeed."""
    fails = Fields({"faults": [{"do": "exit", "code": 1, "after_chunks": 1}]}, method="harness_script", times=2)
    codes = []
    with RpcPool(Node(Chain(1)), [fails]) as pool:
        for _ in range(3):
            with start(pool.url, tmp_path) as process:
                process.communicate(timeout=30)
            codes.append(process.returncode)
    assert codes == [1, 1, 0]


def test_an_unknown_fault_is_an_error_that_names_it(tmp_path: Path):
    """An unknown fault is an error with exit code 2, also if another pool sends the script."""
    fault = Fields({"faults": [{"do": "levitate"}]}, method="harness_script")
    with RpcPool(Node(Chain(1)), [fault]) as pool, start(pool.url, tmp_path) as process:
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "levitate" in stderr


@pytest.mark.parametrize(
    ("script", "place"),
    [
        ({"faults": [{"do": "levitate"}]}, "faults[0].do"),
        ({"faults": [{"do": "orphan"}, {"do": "exit", "code": 1}]}, "faults[1]: 'after_chunks' is a required property"),
        ({"faults": [{"do": "omit_rows", "chunk": 0, "every": 0}]}, "faults[0].every"),
        ({"faults": [{"do": "empty_file", "chunk": 0, "name": "x"}]}, "faults[0]: Additional properties"),
        ({"axts": []}, "Additional properties"),
        ({"faults": {}}, "faults:"),
    ],
)
def test_an_invalid_script_is_an_error_of_the_node(script: dict[str, Any], place: str):
    """The error names the location before anything runs, since a fault without effect would look survived."""
    with pytest.raises(SchemaMismatch, match="harness_script: ") as caught:
        Node(Chain(1), script=script)
    assert place in str(caught.value)


def test_the_schema_has_every_fault_of_fake_cryo():
    """The schema is valid and lists exactly the faults that are modelled."""
    found = schema("harness_script")
    jsonschema.Draft202012Validator.check_schema(found)
    assert set(found["$defs"]) == NAMES


def test_it_reports_its_start_to_the_pool(tmp_path: Path):
    """`harness_started` has the arguments, the names of the environment variables and the pid, but no values."""
    with RpcPool(Node(Chain(1))) as pool, start(pool.url, tmp_path) as process:
        process.communicate(timeout=30)
    (started,) = (call.params[0] for call in pool.journal if call.method == "harness_started")
    assert started["arguments"][:3] == ["blocks", "-b", "0:20"]
    assert started["pid"] == process.pid
    assert "ETH_RPC_URL" in started["environment"]


def test_all_rows_of_a_transaction_can_be_omitted(tmp_path: Path):
    """`omit_transactions` removes all rows of every nth transaction and no other row."""
    script = {"faults": [{"do": "omit_transactions", "chunk": 0, "every": 3}]}
    with RpcPool(Node(Chain(1), script=script)) as pool:
        command = [BIN / "fake-cryo", "traces", "-b", "20:40", "-o", tmp_path]
        subprocess.run(command, env={"PATH": os.environ["PATH"], "ETH_RPC_URL": pool.url}, check=True)
    (path,) = tmp_path.glob("*.parquet")
    whole = build(Chain(1), "traces", range(20, 40))
    hashes = list(dict.fromkeys(whole["transaction_hash"].to_pylist()))
    lost = set(hashes[2::3])
    assert pq.read_table(path).to_pylist() == [row for row in whole.to_pylist() if row["transaction_hash"] not in lost]


def test_blocks_are_read_like_real_cryo_reads_them(tmp_path: Path):
    """With `read_blocks` each block is called for once, and a bad answer fails its chunk only."""
    script = {"faults": [{"do": "read_blocks"}]}
    bad = Result(None, method="eth_getBlockByNumber", block=13)
    with RpcPool(Node(Chain(1), script=script), [bad]) as pool, start(pool.url, tmp_path / "out") as process:
        stdout, _ = process.communicate(timeout=30)
        numbers = [call.blocks[0] for call in pool.journal if call.method == "eth_getBlockByNumber" and call.blocks]
    assert process.returncode == 1
    assert "block not found" in stdout
    assert stems(tmp_path / "out") == WHOLE[:1]
    assert set(range(10)) | {13} <= set(numbers) <= set(range(20))
    assert len(numbers) == len(set(numbers))


def test_a_dataset_that_cannot_be_read_is_rejected(tmp_path: Path):
    """`read_blocks` for a dataset whose calls are not modelled is an error, not a run without calls."""
    command = [BIN / "fake-cryo", "balance_diffs", "-b", "0:2", "-o", tmp_path]
    with RpcPool(Node(Chain(1), script={"faults": [{"do": "read_blocks"}]})) as pool:
        environment = {"PATH": os.environ["PATH"], "ETH_RPC_URL": pool.url}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "read_blocks" in done.stderr
