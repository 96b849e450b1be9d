"""Reports are consumers of the history and say what it holds."""

import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from harness.report.narrate import last_words, narrate
from rich.console import Console

from harness import history, report, schemas
from harness.checks.verdict import Verdict
from harness.kit.progress import Progress
from harness.report import document, junit, text
from harness.report.result import Result
from harness.report.steps import TELL, steps_of

CONTROL = ("\x1b", "\x00", "\u202e")


def test_each_clause_that_counts_has_one_verdict_and_the_reason(result: Result):
    """What the harness failed in is an ERROR, what was left out NOT EXERCISED, and the reason is there."""
    assert result.verdicts() == {
        "LAY-5": Verdict.FAIL,
        "LAY-8": Verdict.INCONCLUSIVE,
        "PUB-3": Verdict.PASS,
        "OUT-1": Verdict.ERROR,
        "SEC-1": Verdict.NOT_EXERCISED,
    }
    assert result.headline == "breaks 1 of 5 clauses; 1 of 5 left out"
    assert result.reason("SEC-1") == "left out: it has no secrets"
    assert "no <space>" in result.reason("OUT-1")


def test_a_known_failure_is_no_new_one_and_an_error_stays_one(result: Result):
    """Known failures don't fail the run; a complaint does."""
    first, second = result.scenarios
    listed = replace(result, known={"LAY-5/by-hand": "issue 12"}, scenarios=(first,))
    assert listed.verdict is Verdict.PASS
    assert "as was known" in listed.headline
    assert replace(listed, complaints=("LAY-6/by-hand is listed and passed",)).verdict is Verdict.FAIL
    assert replace(listed, scenarios=(first, second)).verdict is Verdict.ERROR
    assert "1 of 1 scenarios went wrong" in replace(listed, scenarios=(second,)).headline


def test_a_run_that_fails_is_never_said_to_keep_all(result: Result):
    """What breaks unasked, and what the list of known failures has wrong, stands in the headline."""
    first = replace(result, scenarios=result.scenarios[:1], excluded={})
    unasked = replace(first, asked=("PUB-3",))
    assert (unasked.verdict, unasked.headline) == (Verdict.FAIL, "breaks LAY-5, which nobody asked about")
    known = replace(unasked, known={"LAY-5/by-hand": "issue 12"})
    assert known.headline == "keeps the clause"
    assert "is listed" in replace(known, complaints=("LAY-6/by-hand is listed",)).headline


def test_whatever_a_worker_does_is_told():
    """A signal without a name, a log line nested past all bounds, a publication that is no list."""
    complete = history.DispatcherCall(
        number=3, at=1.0, kind="complete", task_id="t", attempt=1, request={"datasets_published": 5}, status=400,
        answer={}, fault=None,
    )  # fmt: skip
    log_line = history.LogLine(number=2, at=1.0, worker=0, text="[" * 100_000)
    told = [
        steps_of(one)[0].text
        for one in (history.WorkerExited(number=1, at=1.0, worker=0, code=-35), log_line, complete)
    ]
    assert told[0] == "worker 0 is ended by signal 35"
    assert told[1].startswith("log: [[[")
    assert told[2] == "complete attempt 1 as None with 1 publication"


def test_the_last_words_of_a_worker_stand_beside_the_end_that_is_cited(result: Result):
    """Why an attempt failed is often what its worker logged last."""
    events = result.scenarios[0].events
    assert last_words(events, frozenset({11})).startswith("</script><b>]]>\\x1b[2J")
    assert last_words(events, frozenset({8})) == ""


def test_the_json_is_what_its_schema_says(result: Result, tmp_path: Path):
    """The published schema is the code's, and the written file keeps it."""
    assert schemas.schema("report") == document.schema()
    report.write(tmp_path / "r.json", result)
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    schemas.check("report", found)
    assert found["verdict"] == "FAIL"
    assert found["scenarios"][0]["violations"][0]["events"] == [8, 10]
    with pytest.raises(schemas.SchemaMismatch):
        schemas.check("report", found | {"version": 2})


def test_the_junit_file_has_a_case_for_each_clause_and_scenario(result: Result):
    """FAIL is a failure, ERROR an error, all that was not shown is skipped with the reason; the counts are right."""
    root = ET.fromstring(junit.render(result))  # noqa: S314 - written here
    cases = {(case.get("classname"), (case.get("name") or "").split()[0]): case for case in root.iter("testcase")}
    tags = {place: [child.tag for child in case] for place, case in cases.items()}
    assert tags == {
        ("by-hand", "LAY-5"): ["failure"],
        ("by-hand", "LAY-8"): ["skipped"],
        ("by-hand", "PUB-3"): [],
        ("torn", "OUT-1"): ["error"],
        (junit.UNSEEN, "SEC-1"): ["skipped"],
        (junit.UNSEEN, "real-cryo"): ["skipped"],
    }
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("6", "1", "1", "3")
    assert "expected: the manifest is written last" in (cases["by-hand", "LAY-5"][0].text or "")
    known = ET.fromstring(junit.render(replace(result, known={"LAY-5/by-hand": "issue 12"})))  # noqa: S314 - as above
    assert known.get("failures") == "0"


def test_the_text_quotes_the_clause_and_tells_the_events_and_the_command(result: Result):
    """A failure can be understood from the terminal alone."""
    said = text.render(result)
    for words in (
        "FAIL LAY-5 The manifest is written last: when it can be read",
        "expected  the manifest is written last",
        "8-10",
        "PUT {prefix}/_manifest.json — fault: store put _manifest answer 503 before #1 → 503",
        "cryo-harness run by-hand --target 'cmd:./worker --it'\"'\"'s' --store moto",
        "NOT EXERCISED SEC-1: left out: it has no secrets",
        "histories/by-hand.jsonl",
    ):
        assert words in said


def test_nothing_that_a_worker_says_reaches_the_terminal_raw(result: Result):
    """Control characters are written out in every report that people read; JSON has its own way."""
    for kind in set(report.KINDS) - {".json"}:
        said = report.render(kind, result)
        assert not [sign for sign in CONTROL if sign in said], kind


def test_an_unknown_kind_or_a_missing_folder_is_told_before_the_run(tmp_path: Path):
    """The suffix chooses the kind."""
    with pytest.raises(report.BadReport, match=r"one of \.json"):
        report.check(tmp_path / "r.pdf")
    with pytest.raises(report.BadReport, match="no folder"):
        report.check(tmp_path / "absent" / "r.json")


def test_a_request_its_fault_and_its_answer_are_one_step_and_calls_are_folded(result: Result):
    """What belongs together is told together, save what a violation cites."""
    events = result.scenarios[0].events
    assert [step.numbers for step in narrate(events)] == [
        (2,), (3,), (4,), (5, 6, 7), (8, 9, 10), (11,), (12,), (12,),
    ]  # fmt: skip
    assert (6,) in [step.numbers for step in narrate(events, frozenset({6}))]


def test_every_kind_of_event_can_be_told():
    """A history has no event that a report can't tell."""
    assert {history.ScenarioStarted, *TELL} == set(get_args(get_args(history.Event)[0]))


def test_progress_is_plain_lines_where_there_is_no_terminal(result: Result):
    """A log of CI has one line a scenario, without a control character."""
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=False), 2) as progress:
        for ran in result.scenarios:
            progress.began(ran.name)
            progress.ended(ran)
    assert out.getvalue().splitlines()[0].split() == ["FAIL", "by-hand", "LAY-5"]
    assert "\x1b" not in out.getvalue()


def test_progress_on_a_terminal_shows_what_runs_and_no_color_is_honoured(result: Result):
    """Running scenarios are seen; with NO_COLOR nothing is coloured."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, _environ={"NO_COLOR": "1", "TERM": "xterm"})
    with Progress(console, 2) as progress:
        progress.began("by-hand")
        progress.ended(result.scenarios[0])
        progress.began("torn")
    assert "torn" in out.getvalue()
    assert "\x1b[31" not in out.getvalue()
    assert "\x1b[1;31" not in out.getvalue()


def test_the_badge_is_an_svg_that_says_the_verdict_and_how_many_clauses(result: Result):
    """Whoever sees the README knows the result, by a screen reader too."""
    root = ET.fromstring(report.render(".svg", result))  # noqa: S314 - written here
    assert root.get("aria-label") == "cryo_ingest core: FAIL: 1/5 clauses"
    passed = ET.fromstring(report.render(".svg", replace(result, scenarios=(), asked=())))  # noqa: S314 - as above
    assert passed.get("aria-label") == "cryo_ingest core: 0/0 clauses"


def test_the_markdown_table_counts_by_group_and_nothing_in_it_is_markup(result: Result):
    """A reason or a name with pipes, tags or stars stays text."""
    said = report.render(".md", replace(result, excluded={"SEC-1": "it | has <b>no</b> *secrets*"}))
    assert "| clauses | PASS | FAIL | NOT EXERCISED | INCONCLUSIVE | ERROR |" in said
    assert "| Storage layout |  | 1 |  | 1 |  |" in said
    assert r"it \| has \<b\>no\</b\> \*secrets\*" in said
