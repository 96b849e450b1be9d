"""A saved history that was edited is a bad history, or has a verdict: nothing else comes of judging it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import report
from harness.cli import app
from harness.history import BadHistory, save
from harness.kit.commands import again
from harness.report.result import Result, of_histories

Lines = list[dict[str, Any]]
OTHERS: tuple[Any, ...] = (None, -1, 1.5, 10**30, "x", [], {}, {"a": 1}, True)


@pytest.fixture
def lines(result: Result, tmp_path: Path) -> Lines:
    """The history made by hand, as it is saved."""
    path = tmp_path / "saved.jsonl"
    save(result.scenarios[0].events, path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def written(lines: Lines, path: Path, *, renumbered: bool = False) -> Path:
    """Write lines as a history, numbered anew where the numbers are not what is altered."""
    if renumbered:
        places = {line["number"]: place for place, line in enumerate(lines, start=1)}
        for place, line in enumerate(lines, start=1):
            line |= {"number": place, "at": float(place)}
            if "began" in line:
                line["began"] = places.get(line["began"], 0)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def left_out(kind: str) -> Callable[[Lines], Lines]:
    """Leave out the events of a kind."""
    return lambda lines: [line for line in lines if line["kind"] != kind]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (left_out("worker_started"), "line 3: log_line: no worker_started of worker 0 is above it"),
        (left_out("begun"), "line 1: no history of version 1 begins so"),
        (left_out("final"), "line 11: exit: comes last, where the final state has to be"),
        (left_out("task"), "line 2: worker_started: there is no task 0 above it"),
        (left_out("store_asked"), "line 9: object_put: no store_asked that is unanswered is above it"),
        (lambda lines: [*lines, lines[-1] | {}], "line 12: final: ends every history"),
        (lambda lines: [lines[0], lines[0] | {}, *lines[1:]], "line 2: begun: begins every history"),
        (lambda lines: [*lines[:-1], lines[-2] | {}, lines[-1]], "line 12: exit: worker 0 has ended before"),
        (lambda lines: [*lines[:1], lines[1] | {"payload": {}}, *lines[2:]], "line 2: task 0: its payload is not the"),
        (lambda lines: [*lines[:1], lines[1] | {"task": 1}, *lines[2:]], "line 2: task: its task is 1, and not 0"),
    ],
)
def test_a_history_that_no_run_writes_is_refused(
    edit: Callable[[Lines], Lines], said: str, lines: Lines, tmp_path: Path
):
    """The file, the line, and what is missing or one too many; exit code 64."""
    path = written(edit(lines), tmp_path / "edited.jsonl", renumbered=True)
    result = CliRunner().invoke(app, ["judge", str(path)])
    assert result.exit_code == 64, result.output
    assert f"cryo-harness: edited.jsonl, {said}" in result.output


@pytest.mark.parametrize(("field", "value"), [("number", 5), ("at", 0.1), ("at", float("nan"))])
def test_numbers_and_times_only_go_up(field: str, value: object, lines: Lines, tmp_path: Path):
    """A line that was moved, left out or put in shows by its number or its time."""
    lines[3][field] = value
    with pytest.raises(BadHistory, match=r"edited\.jsonl, line 4"):
        again(written(lines, tmp_path / "edited.jsonl"))


def test_whatever_a_field_holds_a_history_is_bad_or_judged(lines: Lines, tmp_path: Path):
    """Every field of every event is left out, and made another: no other error comes of it, in no report either."""
    path = tmp_path / "edited.jsonl"
    judged = 0
    for at, line in enumerate(lines):
        for name in line:
            edited = [{key: line[key] for key in line if key != name}, *(line | {name: other} for other in OTHERS)]
            for one in edited:
                written([*lines[:at], one, *lines[at + 1 :]], path)
                try:
                    result = of_histories([again(path)])
                except BadHistory:
                    continue
                judged += 1
                assert all(report.render(kind, result) for kind in report.KINDS)
    assert judged


@pytest.mark.parametrize(
    "facts",
    [{}, {"first": None}, {"last": "1699"}, {"rows": True}, {"columns": "number"}, {"digest": None}, {"fake": 0}],
)
def test_what_is_said_of_a_parquet_file_is_whole_and_of_its_types(facts: dict[str, Any], lines: Lines, tmp_path: Path):
    """Checks compare its numbers, and must find them."""
    told = {"rows": 1, "columns": ["block_number"], "first": 5, "last": 5, "digest": "d", "fake": False}
    held = {"digest": "d", "size_bytes": 1, "parquet": told | facts if facts else {}}
    lines[-1]["objects"] = {"a.parquet": held}
    with pytest.raises(BadHistory, match=r"edited\.jsonl, line 12: .* not the facts of a Parquet file"):
        again(written(lines, tmp_path / "edited.jsonl"))
    for good in (told, {"unreadable": "OSError"}):
        held["parquet"] = good
        assert again(written(lines, tmp_path / "edited.jsonl"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "it is no UTF-8 text"),
        (b"", "line 1"),
        (b"[" * 100_000, "line 1"),
        (b'{"kind": "begun"}\n', "line 1: Field required"),
    ],
)
def test_a_file_that_is_no_history_ends_with_64(content: bytes, said: str, tmp_path: Path):
    """Binary, empty, endlessly nested: one line each."""
    path = tmp_path / "edited.jsonl"
    path.write_bytes(content)
    result = CliRunner().invoke(app, ["judge", str(path)])
    assert result.exit_code == 64
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_line_ends_where_json_says(lines: Lines, tmp_path: Path):
    """A worker may log what Python takes for the end of a line."""
    lines[3]["text"] = "one\u2028two\x85three"
    assert again(written(lines, tmp_path / "edited.jsonl")).events[3].text == "one\u2028two\x85three"
    text = json.dumps(lines[3], ensure_ascii=False)
    whole = (tmp_path / "edited.jsonl").read_text(encoding="utf-8").split("\n")
    (tmp_path / "edited.jsonl").write_text("\n".join([*whole[:3], text, *whole[4:]]), encoding="utf-8")
    assert again(tmp_path / "edited.jsonl").events[3].text == "one\u2028two\x85three"
