"""Scenarios are validated when they are read; an error names the file and the line."""

from pathlib import Path

import pytest
from support.scenarios import GOOD, refusal
from typer.testing import CliRunner

from harness import history, schemas
from harness.cli import app
from harness.scenario import find, schema


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title =\nclauses = 1\n", "line 1"),
        ('title = "t"\n', "clauses: Field required"),
        ('title = "t"\nclauses = ["PAY-99"]\n', "line 2: clauses: the contract has no clause PAY-99"),
        (GOOD + 'delivery = "pigeon"\n', "line 3: delivery"),
        (GOOD + "[[tasks]]\n[[tasks]]\noutcom = 1\n", "line 5: tasks.1.outcom"),
        (GOOD + '[[store_faults]]\noperation = "put"\nstatus = 200\n', "line 5: store_faults.0.status"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, said: str, tmp_path: Path):
    """The error names the file, the line, the field and the problem."""
    assert said in refusal(text, tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "no-such-scenario"], "no-such-scenario"),
        (["run", "PAY-99"], "PAY-99"),
        (["run", "absent.toml"], "absent.toml"),
        (["run", "straight-run", "--target", "cmd:/nonexistent/worker"], "/nonexistent/worker"),
        (["run", "straight-run", "--target", "pigeon"], "pigeon"),
        (["run", "straight-run", "--store", "memory"], "in-process"),
        (["run", "straight-run", "--store", "http://127.0.0.1:9"], "does not answer"),
        (["probe-store", "ftp://x"], "ftp://x"),
        (["judge", "absent.jsonl"], "absent.jsonl"),
    ],
)
def test_a_usage_error_is_one_line_with_exit_64(words: list[str], said: str):
    """An unknown name, a missing binary or a dead store is an error before the run, without a traceback."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 64
    assert said in result.output
    assert "Traceback" not in result.output


def test_list_shows_every_scenario_with_its_clauses():
    """The list has each scenario with its clauses."""
    shown = CliRunner().invoke(app, ["list"]).output
    for scenario in find():
        assert scenario.name in shown
        assert scenario.clauses[0] in shown


def test_a_bad_history_is_named_with_its_line(tmp_path: Path):
    """The error names the line that is not an event."""
    path = tmp_path / "h.jsonl"
    path.write_text('{"kind": "exit"}\n')
    with pytest.raises(history.BadHistory, match=r"h\.jsonl, line 1"):
        history.load(path)


def test_the_schema_files_are_those_of_the_models():
    """The files in harness/schemas are generated from the models."""
    assert schemas.schema("history") == history.schema()
    assert schemas.schema("scenario") == schema()
