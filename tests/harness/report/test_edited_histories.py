"""An edited history is rejected with BadHistory or gets a verdict; it never causes another error."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import report
from harness.cli import app
from harness.history import BadHistory, LogLine, of, save
from harness.kit.commands import judge_saved
from harness.report.result import RunResult, run_result

Lines = list[dict[str, Any]]
OTHER_VALUES: tuple[Any, ...] = (None, -1, 1.5, 10**30, "x", [], {}, {"a": 1}, True)


@pytest.fixture
def lines(result: RunResult, tmp_path: Path) -> Lines:
    """The lines of the saved history."""
    path = tmp_path / "saved.jsonl"
    save(result.scenarios[0].events, path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def written(lines: Lines, path: Path, *, renumbered: bool = False) -> Path:
    """Save lines as a history; `renumbered` gives them consecutive numbers and times."""
    if renumbered:
        numbers = {line["number"]: number for number, line in enumerate(lines, start=1)}
        for number, line in enumerate(lines, start=1):
            line |= {"number": number, "at": float(number)}
            if "request_number" in line:
                line["request_number"] = numbers.get(line["request_number"], 0)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def without(kind: str) -> Callable[[Lines], Lines]:
    """Remove the events of a kind."""
    return lambda lines: [line for line in lines if line["kind"] != kind]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without("worker_started"), "line 3: log_line: there is no earlier worker_started event of worker 0"),
        (without("scenario_started"), "line 1: not the first event of a history of version 1"),
        (without("final_state"), "line 11: exit: the last event must be final_state"),
        (without("task_created"), "line 2: worker_started: there is no earlier task_created event of task 0"),
        (
            without("store_request"),
            "line 9: object_put: event 0 is not an earlier store_request event without a response",
        ),
        (lambda lines: [*lines, lines[-1] | {}], "line 12: final_state: only the last event may be of this kind"),
        (
            lambda lines: [lines[0], lines[0] | {}, *lines[1:]],
            "line 2: scenario_started: only the first event may be of this kind",
        ),
        (lambda lines: [*lines[:-1], lines[-2] | {}, lines[-1]], "line 12: exit: worker 0 has already ended"),
        (
            lambda lines: [*lines[:1], lines[1] | {"payload": {}}, *lines[2:]],
            "line 2: task 0: its payload differs from the",
        ),
        (
            lambda lines: [*lines[:1], lines[1] | {"task": 1}, *lines[2:]],
            "line 2: task_created: its task is 1, expected 0",
        ),
    ],
)
def test_an_inconsistent_history_is_rejected(
    edit: Callable[[Lines], Lines], message: str, lines: Lines, tmp_path: Path
):
    """The message names the file, the line and the problem; the exit code is 64."""
    path = written(edit(lines), tmp_path / "edited.jsonl", renumbered=True)
    result = CliRunner().invoke(app, ["judge", str(path)])
    assert result.exit_code == 64, result.output
    assert f"cryo-harness: edited.jsonl, {message}" in result.output


@pytest.mark.parametrize(("field", "value"), [("number", 5), ("at", 0.1), ("at", float("nan"))])
def test_numbers_are_consecutive_and_times_do_not_decrease(field: str, value: object, lines: Lines, tmp_path: Path):
    """A line that was moved, removed or added is detected by its number or its time."""
    lines[3][field] = value
    with pytest.raises(BadHistory, match=r"edited\.jsonl, line 4"):
        judge_saved(written(lines, tmp_path / "edited.jsonl"))


def test_any_change_of_a_field_is_rejected_or_gets_a_verdict(lines: Lines, tmp_path: Path):
    """Each field of each event is removed and replaced; neither the checks nor a report raise an error."""
    path = tmp_path / "edited.jsonl"
    accepted = 0
    for index, line in enumerate(lines):
        for name in line:
            edited = [
                {key: line[key] for key in line if key != name},
                *(line | {name: other} for other in OTHER_VALUES),
            ]
            for edited_line in edited:
                written([*lines[:index], edited_line, *lines[index + 1 :]], path)
                try:
                    result = run_result([judge_saved(path)])
                except BadHistory:
                    continue
                accepted += 1
                assert all(report.render(kind, result) for kind in report.KINDS)
    assert accepted


@pytest.mark.parametrize(
    "facts",
    [{}, {"first": None}, {"last": "1699"}, {"rows": True}, {"columns": "number"}, {"digest": None}, {"fake": 0}],
)
def test_facts_of_a_parquet_file_are_complete_and_of_the_right_types(
    facts: dict[str, Any], lines: Lines, tmp_path: Path
):
    """Checks rely on them."""
    complete = {"rows": 1, "columns": ["block_number"], "first": 5, "last": 5, "digest": "d", "fake": False}
    stored = {"digest": "d", "size_bytes": 1, "parquet": complete | facts if facts else {}}
    lines[-1]["objects"] = {"a.parquet": stored}
    with pytest.raises(BadHistory, match=r"edited\.jsonl, line 12: .* not the facts of a Parquet file"):
        judge_saved(written(lines, tmp_path / "edited.jsonl"))
    for valid in (complete, {"unreadable": "OSError"}):
        stored["parquet"] = valid
        assert judge_saved(written(lines, tmp_path / "edited.jsonl"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (b"", "line 1"),
        (b"[" * 100_000, "line 1"),
        (b'{"kind": "scenario_started"}\n', "line 1: Field required"),
    ],
)
def test_a_file_that_is_not_a_history_exits_with_64(content: bytes, message: str, tmp_path: Path):
    """Binary, empty, deeply nested: the message is one line, without a traceback."""
    path = tmp_path / "edited.jsonl"
    path.write_bytes(content)
    result = CliRunner().invoke(app, ["judge", str(path)])
    assert result.exit_code == 64
    assert message in result.output
    assert "Traceback" not in result.output


def test_lines_end_at_newlines_only(lines: Lines, tmp_path: Path):
    """A log line may hold characters that str.splitlines() treats as the end of a line."""
    lines[3]["text"] = "one\u2028two\x85three"
    events = judge_saved(written(lines, tmp_path / "edited.jsonl")).events
    assert of(events, LogLine)[0].text == "one\u2028two\x85three"
    text = json.dumps(lines[3], ensure_ascii=False)
    saved = (tmp_path / "edited.jsonl").read_text(encoding="utf-8").split("\n")
    (tmp_path / "edited.jsonl").write_text("\n".join([*saved[:3], text, *saved[4:]]), encoding="utf-8")
    assert of(judge_saved(tmp_path / "edited.jsonl").events, LogLine)[0].text == "one\u2028two\x85three"
