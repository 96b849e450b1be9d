"""Whole explorations of the reference worker, each of a few cells."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.reference.bugs import BUGS
from harness.scenario import read

EXPLORE = ["explore", "--target", "reference", "--jobs", "6", "--json"]


@pytest.mark.long
def test_a_correct_worker_passes(tmp_path: Path):
    """Faults of the store, the node and the dispatcher, and a kill: nothing is wrong, and nothing is saved."""
    only = r"^(put-manifest.1.503-after|eth_chainId.1.429|complete.1.reset-after|done-put-manifest.1.SIGKILL)$"
    result = CliRunner().invoke(app, [*EXPLORE, "--only", only, "--save", str(tmp_path)])
    document = json.loads(result.stdout)
    assert (result.exit_code, document["counts"]["passed"], document["run"]) == (0, 4, 4), result.output
    assert document["generated"] == document["run"] + len(document["not_run"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("bug", "cell"),
    [
        ("never-compares-sizes", "put-manifest.1+keep-half"),
        ("retries-a-stale-completion", "complete.1+take-lease"),
        ("works-past-the-lease", "heartbeat.1+take-lease"),
    ],
)
def test_a_bug_that_only_a_fault_shows_is_found(bug: str, cell: str, tmp_path: Path):
    """The run without a fault passes, and the cell is violated; its scenario is saved and can be read."""
    assert bug in {known.name for known in BUGS}
    only = f"^{cell.replace('+', '.')}$"
    result = CliRunner().invoke(app, [*EXPLORE, "--bug", bug, "--only", only, "--save", str(tmp_path)])
    assert result.exit_code == 1
    (ran,) = json.loads(result.stdout)["cells"]
    assert (ran["cell"], ran["status"]) == (cell, "violated")
    assert read(tmp_path / f"{cell}.toml").name == cell


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "soon"], "write seconds as in 600"),
        (["--only", "("], "is not a regular expression"),
        (["--scenario", "wrong-chain"], "in which every task succeeds"),
        (["--scenario", "LAY-3"], "not of a clause"),
    ],
)
def test_a_usage_error_is_one_line(words: list[str], said: str):
    """The line says what to write instead, and nothing is started."""
    result = CliRunner().invoke(app, ["explore", "--target", "reference", *words])
    assert result.exit_code == 64
    assert said in result.output
    assert result.output.count("\n") == 1
