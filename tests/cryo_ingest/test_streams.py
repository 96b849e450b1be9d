"""Closed and full standard streams: an attempt still ends with a clear result."""

import json
import subprocess
from pathlib import Path

import pytest
from support.worker import BIN, PAYLOAD

TASK = PAYLOAD | {"range_start": 0, "range_end": 10}


def run(folder: Path, redirections: str, task: str = "task.json") -> subprocess.CompletedProcess[str]:
    """Run one attempt in fake mode in a shell with redirections."""
    (folder / "task.json").write_text(json.dumps(TASK))
    command = f"exec cryo-ingest run {task} --store file://{folder}/out {redirections}"
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "TRACE_CRYO_STAGING_ROOT": str(folder / "staging")}
    shell = ["/bin/sh", "-c", command]
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def published(folder: Path) -> bool:
    """Return whether a version is in the store."""
    return bool(list((folder / "out").rglob("_manifest.json")))


def test_a_closed_standard_output_is_a_usage_error_before_any_work(tmp_path: Path):
    """The publication could not be printed: exit code 64 with a message, nothing staged or stored."""
    done = run(tmp_path, ">&-")
    assert done.returncode == 64
    assert "standard output is closed" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["task.json"]


def test_a_task_from_a_closed_standard_input_is_a_usage_error(tmp_path: Path):
    """Exit code 64 with a message."""
    done = run(tmp_path, "<&-", task="-")
    assert done.returncode == 64
    assert "standard input is closed" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize("redirections", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_a_closed_or_full_standard_error_does_not_end_an_attempt(tmp_path: Path, redirections: str):
    """The attempt runs without a log, and prints its publication."""
    done = run(tmp_path, redirections)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["range_end"] == 10
    assert published(tmp_path)


def test_a_full_standard_output_is_logged_and_retryable(tmp_path: Path):
    """Exit code 75: the version is in the store, and another run keeps it."""
    done = run(tmp_path, ">/dev/full")
    assert done.returncode == 75
    assert "publication.not_delivered" in done.stderr
    assert "Traceback" not in done.stderr
    assert published(tmp_path)


def test_an_error_that_cannot_be_printed_still_has_its_exit_code(tmp_path: Path):
    """The exit code of a bad payload does not depend on standard error."""
    (tmp_path / "none.json").write_text("[]")
    assert run(tmp_path, "2>/dev/full", task="none.json").returncode == 65


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_the_publication_is_utf8_in_any_locale(encoding: str, tmp_path: Path):
    """An encoding that can't represent the publication's text does not fail the attempt."""
    (tmp_path / "task.json").write_text(json.dumps(TASK | {"config_hash": "größe-€"}), encoding="utf-8")
    environment = {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "TRACE_CRYO_STAGING_ROOT": str(tmp_path / "staging"),
        "PYTHONIOENCODING": encoding,
        "LC_ALL": "C",
    }
    command = [BIN / "cryo-ingest", "run", "task.json", "--store", f"file://{tmp_path}/out"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("utf-8"))["config_hash"] == "größe-€"
