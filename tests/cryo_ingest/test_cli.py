"""How the command line ends its process and reports usage errors."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cryo_ingest.cli import app as worker_app
from harness.cli import app as harness_app

WATCHED = """
import atexit, sys
from cryo_ingest.cli import main
atexit.register(print, "finalized")
sys.argv = ["cryo-ingest", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["--no-such-option"], 64)])
def test_out_2_the_process_exits_without_finalizing_the_interpreter(words: list[str], code: int):
    """OUT-2: obstore's threads can abort the process during finalization, which would replace the exit code."""
    done = subprocess.run([sys.executable, "-c", WATCHED, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "finalized" not in done.stdout
    assert "cryo-ingest" in done.stdout + done.stderr


def test_pub_2_an_empty_store_is_a_usage_error(tmp_path: Path):
    """PUB-2: `--store ""` is not the bucket `None`, even without S3_BUCKET."""
    (tmp_path / "task.json").write_text("{}")
    command = [Path(sys.executable).parent / "cryo-ingest", "run", tmp_path / "task.json", "--store", ""]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert "--store" in done.stderr


@pytest.mark.parametrize("app", [worker_app, harness_app], ids=["cryo-ingest", "cryo-harness"])
def test_both_command_lines_have_a_version_and_short_help(app: typer.Typer):
    """`--version` and `-h` are what a user tries first."""
    version = CliRunner().invoke(app, ["--version"])
    assert version.exit_code == 0
    assert re.fullmatch(r"cryo-(ingest|harness) [0-9]+[.][0-9.]+\n", version.output)
    assert CliRunner().invoke(app, ["-h"]).exit_code == 0


@pytest.mark.parametrize("command", [str(command.callback.__name__) for command in worker_app.registered_commands])
def test_the_help_of_every_command_has_an_example_and_its_variables(command: str):
    """A user sees how a command is called and what it reads, without the documentation."""
    shown = CliRunner().invoke(worker_app, [command, "-h"]).output
    assert f"Example: cryo-ingest {'run task.json' if command == 'verify' else command}" in " ".join(shown.split())
    assert "Variables: " in shown


@pytest.mark.parametrize("text", ['{"a": 1}\n{"a": 2}\n', '[{"a": 1}, {"a": 2}]'])
def test_pay_1_several_tasks_in_a_file_are_a_usage_error(text: str, tmp_path: Path):
    """PAY-1: `run` takes one task, and says so if a file has several."""
    (tmp_path / "tasks.jsonl").write_text(text)
    words = ["run", str(tmp_path / "tasks.jsonl"), "--store", f"file://{tmp_path}/out"]
    shown = CliRunner().invoke(worker_app, words)
    assert shown.exit_code == 2
    assert "has 2 tasks, and `run` takes one" in " ".join(shown.output.replace("│", " ").split())
