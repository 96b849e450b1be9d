"""Each report shows the verdicts, the violations, and the events of the history."""

import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

from harness import history, report, schemas
from harness.checks.verdict import Verdict
from harness.faults import triggers
from harness.kit.progress import Progress
from harness.report import document, junit, text
from harness.report.result import RunResult
from harness.report.steps import ACTIONS, DESCRIBERS, describe_event
from harness.report.timeline import last_log_line, timeline

CONTROL = ("\x1b", "\x00", "\u202e")


def test_each_clause_that_counts_has_one_verdict_and_the_reason(result: RunResult):
    """A failure of the harness is ERROR, an excluded clause NOT EXERCISED, each with the reason."""
    assert result.verdicts() == {
        "LAY-5": Verdict.FAIL,
        "LAY-8": Verdict.INCONCLUSIVE,
        "PUB-3": Verdict.PASS,
        "OUT-1": Verdict.ERROR,
        "SEC-1": Verdict.NOT_EXERCISED,
    }
    assert result.headline == "violates 1 of 5 clauses; 1 of 5 excluded"
    assert result.reason("SEC-1") == "excluded: it has no secrets"
    assert "no <space>" in result.reason("OUT-1")


def test_known_failures_do_not_fail_the_run_but_errors_and_complaints_do(result: RunResult):
    """The run passes if all its failures are listed as known, and there are no errors and no complaints."""
    first, second = result.scenarios
    listed = replace(result, known={"LAY-5/by-hand": "issue 12"}, scenarios=(first,))
    assert listed.verdict is Verdict.PASS
    assert "all of them known" in listed.headline
    assert replace(listed, complaints=("LAY-6/by-hand is listed and passed",)).verdict is Verdict.FAIL
    assert replace(listed, scenarios=(first, second)).verdict is Verdict.ERROR
    assert "1 of 1 scenarios had errors" in replace(listed, scenarios=(second,)).headline


def test_the_headline_of_a_failed_run_never_says_that_all_clauses_are_kept(result: RunResult):
    """It names violated clauses that do not count, and differences from the list of known failures."""
    first = replace(result, scenarios=result.scenarios[:1], excluded={})
    uncounted = replace(first, clauses=("PUB-3",))
    headline = "violates LAY-5, which this run does not count"
    assert (uncounted.verdict, uncounted.headline) == (Verdict.FAIL, headline)
    known = replace(uncounted, known={"LAY-5/by-hand": "issue 12"})
    assert known.headline == "keeps the clause"
    assert "is listed" in replace(known, complaints=("LAY-6/by-hand is listed",)).headline


def test_unusual_events_are_described():
    """A signal without a name, a deeply nested log line, publications that are not a list."""
    complete = history.DispatcherCall(
        number=3, at=1.0, kind="complete", task_id="t", attempt=1, request={"datasets_published": 5}, status=400,
        response={}, fault=None,
    )  # fmt: skip
    log_line = history.LogLine(number=2, at=1.0, worker=0, text="[" * 100_000)
    exited = history.WorkerExited(number=1, at=1.0, worker=0, code=-35)
    texts = [describe_event(event)[0].text for event in (exited, log_line, complete)]
    assert texts[0] == "worker 0 is killed by signal 35"
    assert texts[1].startswith("log: [[[")
    assert texts[2] == "complete attempt 1 as None with 1 publication"


def test_actions_of_the_harness_are_sentences():
    """Each action of a trigger is described as a sentence."""
    actions = get_args(triggers.Action)
    assert set(ACTIONS) == {action for action in actions if not action.startswith("SIG")}
    events = [history.HarnessAction(number=1, at=1.0, action=action) for action in ("SIGTERM", "take-lease")]
    assert [describe_event(event)[0].text for event in events] == [
        "the harness sends SIGTERM to worker 0",
        "the harness takes the lease away",
    ]


def test_the_last_log_line_before_a_cited_end_is_shown(result: RunResult):
    """The last log line of a worker often says why its attempt failed."""
    events = result.scenarios[0].events
    assert last_log_line(events, frozenset({11})).startswith("</script><b>]]>\\x1b[2J")
    assert last_log_line(events, frozenset({8})) == ""


def test_the_json_report_matches_its_schema(result: RunResult, tmp_path: Path):
    """The published schema equals that of the code, and the written report is valid."""
    assert schemas.schema("report") == document.schema()
    report.write(tmp_path / "r.json", result)
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    schemas.check("report", found)
    assert found["verdict"] == "FAIL"
    assert found["scenarios"][0]["violations"][0]["events"] == [8, 10]
    with pytest.raises(schemas.SchemaMismatch):
        schemas.check("report", found | {"version": 2})


def test_the_junit_file_has_a_case_for_each_clause_and_scenario(result: RunResult):
    """FAIL is a failure, ERROR an error, the others except PASS are skipped with the reason; the counts are right."""
    root = ET.fromstring(junit.render(result))  # noqa: S314 - written here
    cases = {(case.get("classname"), (case.get("name") or "").split()[0]): case for case in root.iter("testcase")}
    tags = {place: [child.tag for child in case] for place, case in cases.items()}
    assert tags == {
        ("by-hand", "LAY-5"): ["failure"],
        ("by-hand", "LAY-8"): ["skipped"],
        ("by-hand", "PUB-3"): [],
        ("with-error", "OUT-1"): ["error"],
        (junit.NOT_RUN, "SEC-1"): ["skipped"],
        (junit.NOT_RUN, "real-cryo"): ["skipped"],
    }
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("6", "1", "1", "3")
    assert "expected: the manifest is written last" in (cases["by-hand", "LAY-5"][0].text or "")
    known = ET.fromstring(junit.render(replace(result, known={"LAY-5/by-hand": "issue 12"})))  # noqa: S314 - as above
    assert known.get("failures") == "0"


def test_the_text_has_the_clause_the_events_and_the_command(result: RunResult):
    """A failure can be understood from the terminal alone."""
    text_report = text.render(result)
    for words in (
        "FAIL LAY-5 The manifest is written last: when it can be read",
        "expected  the manifest is written last",
        "8-10",
        "PUT {prefix}/_manifest.json — fault: store put _manifest answer 503 before #1 → 503",
        "cryo-harness run by-hand --target 'cmd:./worker --it'\"'\"'s' --store moto",
        "NOT EXERCISED SEC-1: excluded: it has no secrets",
        "histories/by-hand.jsonl",
    ):
        assert words in text_report


def test_control_characters_are_escaped(result: RunResult):
    """No report for people has control characters from a run; JSON escapes them anyway."""
    for kind in set(report.KINDS) - {".json"}:
        text_report = report.render(kind, result)
        assert not [character for character in CONTROL if character in text_report], kind


def test_an_unknown_suffix_or_a_missing_folder_is_reported_before_the_run(tmp_path: Path):
    """A report must be writable, with a known suffix."""
    with pytest.raises(report.BadReport, match=r"one of \.json"):
        report.check(tmp_path / "r.pdf")
    with pytest.raises(report.BadReport, match="does not exist"):
        report.check(tmp_path / "absent" / "r.json")


def test_a_request_its_fault_and_its_response_are_one_step_and_similar_calls_are_merged(result: RunResult):
    """Events that belong together are one step, except for events that a violation cites."""
    events = result.scenarios[0].events
    assert [step.event_numbers for step in timeline(events)] == [
        (2,), (3,), (4,), (5, 6, 7), (8, 9, 10), (11,), (12,), (12,),
    ]  # fmt: skip
    assert (6,) in [step.event_numbers for step in timeline(events, frozenset({6}))]


def test_every_kind_of_event_has_a_description():
    """The timeline can show each event of a history."""
    assert {history.ScenarioStarted, *DESCRIBERS} == set(get_args(get_args(history.Event)[0]))


def test_progress_is_plain_lines_where_there_is_no_terminal(result: RunResult):
    """A CI log has one line for each scenario, without control characters."""
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=False), 2) as progress:
        for scenario in result.scenarios:
            progress.start(scenario.name)
            progress.end(scenario)
    assert out.getvalue().splitlines()[0].split() == ["FAIL", "by-hand", "LAY-5"]
    assert "\x1b" not in out.getvalue()


def test_progress_on_a_terminal_shows_running_scenarios_and_respects_no_color(result: RunResult):
    """Running scenarios are shown; with NO_COLOR there are no colours."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, _environ={"NO_COLOR": "1", "TERM": "xterm"})
    with Progress(console, 2) as progress:
        progress.start("by-hand")
        progress.end(result.scenarios[0])
        progress.start("with-error")
    assert "with-error" in out.getvalue()
    assert "\x1b[31" not in out.getvalue()
    assert "\x1b[1;31" not in out.getvalue()


def test_the_badge_shows_the_verdict_and_the_number_of_clauses(result: RunResult):
    """The result is also in the label for screen readers."""
    root = ET.fromstring(report.render(".svg", result))  # noqa: S314 - written here
    assert root.get("aria-label") == "cryo_ingest core: FAIL: 1/5 clauses"
    passed = ET.fromstring(report.render(".svg", replace(result, scenarios=(), clauses=())))  # noqa: S314 - as above
    assert passed.get("aria-label") == "cryo_ingest core: 0/0 clauses"


def test_the_markdown_summary_counts_by_group_and_escapes_markup(result: RunResult):
    """Pipes, tags and stars in a reason are escaped."""
    text_report = report.render(".md", replace(result, excluded={"SEC-1": "it | has <b>no</b> *secrets*"}))
    assert "| clauses | PASS | FAIL | NOT EXERCISED | INCONCLUSIVE | ERROR |" in text_report
    assert "| Storage layout |  | 1 |  | 1 |  |" in text_report
    assert r"it \| has \<b\>no\</b\> \*secrets\*" in text_report
