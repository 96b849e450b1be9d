"""Standard streams that are closed or full: an attempt ends as clearly as with open ones."""

import json
import subprocess
from pathlib import Path

import pytest
from support.worker import BIN, PAYLOAD

TASK = PAYLOAD | {"range_start": 0, "range_end": 10}


def run(folder: Path, redirections: str, task: str = "task.json") -> subprocess.CompletedProcess[str]:
    """Run one attempt in fake mode by a shell, its streams redirected as told."""
    (folder / "task.json").write_text(json.dumps(TASK))
    command = f"exec cryo-ingest run {task} --store file://{folder}/out {redirections}"
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "TRACE_CRYO_STAGING_ROOT": str(folder / "staging")}
    shell = ["/bin/sh", "-c", command]
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def published(folder: Path) -> bool:
    """Tell whether a version is in the store."""
    return bool(list((folder / "out").rglob("_manifest.json")))


def test_a_closed_standard_output_is_a_usage_error_before_any_work(tmp_path: Path):
    """The publication could not be told: exit 64, said in words, nothing staged or stored."""
    done = run(tmp_path, ">&-")
    assert done.returncode == 64
    assert "standard output is closed" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["task.json"]


def test_a_task_from_a_closed_standard_input_is_a_usage_error(tmp_path: Path):
    """Exit 64, said in words."""
    done = run(tmp_path, "<&-", task="-")
    assert done.returncode == 64
    assert "standard input is closed" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize("redirections", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_a_log_that_nobody_takes_breaks_no_attempt(tmp_path: Path, redirections: str):
    """With standard error closed or full the attempt goes on in silence, and the publication is told."""
    done = run(tmp_path, redirections)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["range_end"] == 10
    assert published(tmp_path)


def test_a_full_standard_output_is_told_in_the_log_and_retryable(tmp_path: Path):
    """What is in the store is whole; exit 75, since another run publishes what is there."""
    done = run(tmp_path, ">/dev/full")
    assert done.returncode == 75
    assert "publication.not_delivered" in done.stderr
    assert "Traceback" not in done.stderr
    assert published(tmp_path)


def test_no_word_of_an_error_is_lost_in_a_traceback_where_it_cannot_be_told(tmp_path: Path):
    """The exit code is a bad payload's, though standard error is full."""
    (tmp_path / "none.json").write_text("[]")
    assert run(tmp_path, "2>/dev/full", task="none.json").returncode == 65


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_the_publication_is_utf8_whatever_the_locale_says(encoding: str, tmp_path: Path):
    """An encoding that can't hold the publication's text, or would change it, costs no success."""
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
