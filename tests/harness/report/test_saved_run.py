"""A saved history is checked and reported again, without other input."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import history, report
from harness.cli import app
from harness.runner.run import run
from harness.scenario import find
from harness.stores.backends import Backends
from harness.stores.bucket import S3Endpoint
from harness.targets import REFERENCE
from harness.targets import find as find_target


@pytest.fixture(scope="module")
def saved(cryo_moto: S3Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history of a worker that writes its manifest first."""
    (scenario,) = find(["straight-run"])
    events = run(scenario, find_target(REFERENCE, bug="manifest-comes-first"), Backends(cryo_moto, cryo_moto, "moto"))
    path = tmp_path_factory.mktemp("saved") / "straight-run.jsonl"
    history.save(events, path)
    return path


def test_every_report_shows_the_bug(saved: Path, tmp_path: Path):
    """Each report has the clause and the early PUT of the manifest; the exit code is 1."""
    files = [tmp_path / f"report{kind}" for kind in report.KINDS]
    result = CliRunner().invoke(
        app, ["judge", str(saved), *[word for file in files for word in ("--report", str(file))]]
    )
    assert result.exit_code == 1, result.output
    reports = {file.suffix: file.read_text(encoding="utf-8") for file in files}
    for kind in set(reports) - {".svg"}:
        assert "LAY-5" in reports[kind], kind
    for kind in (".html", ".txt"):
        assert "PUT {prefix}/_manifest.json" in reports[kind], kind
    (scenario,) = json.loads(reports[".json"])["scenarios"]
    assert [violation["clause"] for violation in scenario["violations"]] == ["LAY-5", "LAY-5"]
    assert "FAIL" in reports[".svg"]


def test_a_history_of_another_version_is_rejected_in_one_line(saved: Path, tmp_path: Path):
    """A scenario with an unknown field causes no traceback."""
    lines = saved.read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    first["scenario"]["wings"] = 2
    (tmp_path / "old.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]), encoding="utf-8")
    result = CliRunner().invoke(app, ["judge", str(tmp_path / "old.jsonl")])
    assert result.exit_code == 64
    assert "old.jsonl: the scenario is of another version: wings" in result.output


def test_an_unwritable_report_is_rejected_before_anything_runs():
    """The command exits with 64 at once."""
    result = CliRunner().invoke(app, ["run", "straight-run", "--report", "report.pdf"])
    assert result.exit_code == 64
    assert "the suffix must be one of" in result.output
