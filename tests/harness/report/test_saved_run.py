"""A run that was saved is judged and reported again from its file alone."""

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
    """The straight path with a worker that writes its manifest first."""
    (scenario,) = find(["straight-run"])
    events = run(scenario, find_target(REFERENCE, bug="manifest-comes-first"), Backends(cryo_moto, cryo_moto, "moto"))
    path = tmp_path_factory.mktemp("saved") / "straight-run.jsonl"
    history.save(events, path)
    return path


def test_every_kind_of_report_tells_the_bug(saved: Path, tmp_path: Path):
    """The clause and what stood where the manifest should have been is in each; the exit code is that of a failure."""
    files = [tmp_path / f"report{kind}" for kind in report.KINDS]
    result = CliRunner().invoke(
        app, ["judge", str(saved), *[word for file in files for word in ("--report", str(file))]]
    )
    assert result.exit_code == 1, result.output
    said = {file.suffix: file.read_text(encoding="utf-8") for file in files}
    for kind in set(said) - {".svg"}:
        assert "LAY-5" in said[kind], kind
    for kind in (".html", ".txt"):
        assert "PUT {prefix}/_manifest.json" in said[kind], kind
    (scenario,) = json.loads(said[".json"])["scenarios"]
    assert [one["clause"] for one in scenario["violations"]] == ["LAY-5", "LAY-5"]
    assert "FAIL" in said[".svg"]


def test_a_history_of_another_version_is_told_in_one_line(saved: Path, tmp_path: Path):
    """No traceback for a scenario that this version does not know."""
    lines = saved.read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    first["scenario"]["wings"] = 2
    (tmp_path / "old.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]), encoding="utf-8")
    result = CliRunner().invoke(app, ["judge", str(tmp_path / "old.jsonl")])
    assert result.exit_code == 64
    assert "old.jsonl: its scenario is of another version: wings" in result.output


def test_a_report_that_can_not_be_written_is_told_before_anything_runs():
    """Exit code 64 at once."""
    result = CliRunner().invoke(app, ["run", "straight-run", "--report", "report.pdf"])
    assert result.exit_code == 64
    assert "the suffix chooses the kind" in result.output
