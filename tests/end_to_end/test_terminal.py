"""What users see of a command whose standard error is a terminal, here a pseudo-terminal."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from support.worker import BIN, PAYLOAD

JOB = """\
kind: chain_sync
name: seen
chain_id: 31337
mode: {kind: fixed_target, from_block: 0, to_block: 400}
streams:
  blocks: {cryo_dataset_name: blocks, rpc_pool: any, chunk_size: 200, max_inflight: 2}
"""


def on_terminal(folder: Path, *words: str | Path, **environment: str) -> tuple[int, str, str]:
    """Run `cryo-ingest`; return its exit code, its standard output, and what it wrote to the terminal."""
    own = {"PATH": os.environ["PATH"], "TERM": "xterm", "HOME": str(folder), "COLUMNS": "100"}
    own |= {"TRACE_CRYO_STAGING_ROOT": str(folder / "staging")}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [BIN / "cryo-ingest", *words], env=own | environment, stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            seen += part
        printed, _ = process.communicate()
    os.close(ours)
    return process.returncode, printed, seen.decode()


def run(folder: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    """Run one task."""
    (folder / "task.json").write_text(json.dumps(PAYLOAD | {"range_end": 900}))
    return on_terminal(folder, "run", folder / "task.json", "--store", f"file://{folder}/out", *words, **environment)


def test_a_run_shows_its_progress_and_a_summary_and_writes_its_log_to_a_file(tmp_path: Path):
    """Standard output has the publication alone."""
    code, printed, seen = run(tmp_path)
    assert code == 0
    assert json.loads(printed)["range_end"] == 900
    assert "published 400 rows" in seen
    assert "range.proved" not in seen
    log = tmp_path / ".local" / "state" / "cryo-ingest" / "run.log"
    assert f"log: {log}" in seen
    assert "range.proved" in {json.loads(line)["event"] for line in log.read_text().splitlines()}


@pytest.mark.parametrize(
    ("words", "environment", "there", "not_there"),
    [
        (("-v",), {}, "range.proved", "log: "),
        ((), {"TRACE_LOG_FORMAT": "json"}, '"event": "range.proved"', "log: "),
        (("--quiet",), {}, "", "proved"),
        ((), {"NO_COLOR": "1"}, "published 400 rows", "\x1b[3"),
        ((), {"TERM": "dumb"}, "range.proved", "log: "),
    ],
)
def test_options_and_variables_change_what_is_shown(
    tmp_path: Path, words: tuple[str, ...], environment: dict[str, str], there: str, not_there: str
):
    """`-v` and a log format ask for the log; `--quiet` for errors only; NO_COLOR for plain text."""
    code, _, seen = run(tmp_path, *words, **environment)
    assert code == 0
    assert there in seen
    assert not_there not in seen


def test_a_failure_is_in_the_summary(tmp_path: Path):
    """A user must not have to open the log."""
    code, printed, seen = run(tmp_path, TRACE_CRYO_MODE="real")
    assert (code, printed) == (69, "")
    assert "RpcPoolUnresolved" in seen


def test_a_sync_shows_bars_and_a_summary_then_verify_and_gaps_find_nothing(tmp_path: Path):
    """`--json` prints the summary as JSON on standard output, whatever is on the terminal."""
    (tmp_path / "job.yaml").write_text(JOB)
    store = f"file://{tmp_path}/out"
    code, printed, seen = on_terminal(tmp_path, "sync", tmp_path / "job.yaml", "--store", store, "--json")
    assert code == 0, seen
    assert json.loads(printed)["streams"][0]["missing"] == 0
    assert "400/400 blocks" in seen
    assert "sync.log" in seen
    (dataset,) = (tmp_path / "out" / "cryo" / "31337").iterdir()
    (version,) = (dataset / "0_200").iterdir()
    code, printed, seen = on_terminal(tmp_path, "verify", f"file://{version}/")
    assert (code, "1/1 files of this one" in seen, "200" in printed) == (0, True, True)
    code, printed, seen = on_terminal(tmp_path, "gaps", f"file://{dataset}/", "--from", "0", "--to", "400")
    assert (code, printed, "listing" in seen) == (0, "", True)


def test_the_shell_can_complete_commands_and_options():
    """Typer's own completion, for both programs."""
    for program, variable, word in (
        ("cryo-ingest", "_CRYO_INGEST_COMPLETE", "sync"),
        ("cryo-harness", "_CRYO_HARNESS_COMPLETE", "simulate"),
    ):
        environment = {variable: "complete_bash", "COMP_WORDS": f"{program} {word[:3]}", "COMP_CWORD": "1"}
        ran = subprocess.run(
            [BIN / program], env=environment | {"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
        )
        assert word in ran.stdout.split()
