"""The report as JUnit XML: a suite for each scenario, a test case for each clause that it has a result for.

It uses only elements that Jenkins, GitLab, GitHub and Maven all support: testsuites, testsuite, properties, testcase,
and in a testcase one of failure, error and skipped. NOT EXERCISED, INCONCLUSIVE, and what did not run are skipped, with
the reason.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from harness.checks.verdict import Verdict
from harness.report.groups import short_text
from harness.report.names import printable
from harness.report.result import ClauseResult, RunResult, ScenarioResult
from harness.resources import clauses

SKIPPED_VERDICTS = {Verdict.NOT_EXERCISED, Verdict.INCONCLUSIVE}
NOT_RUN = "clauses without a scenario"


def render(result: RunResult) -> str:
    """Return the XML text."""
    root = ET.Element("testsuites", name=f"cryo_ingest contract, {result.target}", time=f"{result.seconds:.3f}")
    for scenario in result.scenarios:
        suite = _suite(root, result, scenario.name, scenario.seconds)
        for clause, clause_result in scenario.by_clause().items():
            known = result.known.get(f"{clause}/{scenario.name}")
            details = _details(result, scenario, clause, clause_result)
            _case(suite, scenario.name, clause, clause_result, details, known)
        if not len(suite.findall("testcase")):
            whole = ClauseResult(scenario.verdict, "; ".join(scenario.errors))
            _case(suite, scenario.name, "the scenario", whole, "", None)
    run = {clause for scenario in result.scenarios for clause in scenario.by_clause()}
    not_run = [clause for clause in result.clauses if clause not in run]
    if not_run or result.skipped or result.complaints:
        suite = _suite(root, result, NOT_RUN, 0.0)
        for clause in not_run:
            _case(suite, NOT_RUN, clause, ClauseResult(Verdict.NOT_EXERCISED, result.reason(clause)), "", None)
        for name, reason in result.skipped.items():
            _case(suite, NOT_RUN, name, ClauseResult(Verdict.NOT_EXERCISED, f"skipped: {reason}"), "", None)
        for complaint in result.complaints:
            _case(suite, NOT_RUN, complaint, ClauseResult(Verdict.FAIL), complaint, None)
    for suite in root:
        _count(suite)
    _count(root)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ['<?xml version="1.0" encoding="UTF-8"?>\n', "\n"]
    )


def _suite(root: ET.Element, result: RunResult, name: str, seconds: float) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=name, time=f"{seconds:.3f}")
    if result.began_at is not None:
        suite.set("timestamp", result.began_at.strftime("%Y-%m-%dT%H:%M:%S"))
    values = {"target": result.target, "profile": result.profile, "store": result.store}
    properties = ET.SubElement(suite, "properties")
    for key, value in values.items():
        ET.SubElement(properties, "property", name=key, value=printable(value))
    return suite


def _case(
    suite: ET.Element, scenario: str, name: str, clause_result: ClauseResult, details: str, known: str | None
) -> None:
    case = ET.SubElement(suite, "testcase", classname=scenario, name=_case_name(name), time="0")
    if clause_result.verdict is Verdict.FAIL and known is not None:
        ET.SubElement(case, "skipped", message=printable(f"known failure: {known}")).text = printable(details)
    elif clause_result.verdict is Verdict.FAIL:
        message = clause_result.violations[0].seen if clause_result.violations else details
        count = f"{len(clause_result.violations)} violations; " if len(clause_result.violations) > 1 else ""
        ET.SubElement(case, "failure", type=name, message=printable(f"{count}seen: {message}")).text = printable(
            details
        )
    elif clause_result.verdict is Verdict.ERROR:
        ET.SubElement(case, "error", type="ERROR", message=printable(clause_result.reason)).text = printable(details)
    elif clause_result.verdict in SKIPPED_VERDICTS:
        ET.SubElement(case, "skipped", message=printable(f"{clause_result.verdict}: {clause_result.reason}"))


def _case_name(name: str) -> str:
    return printable(f"{name} {short_text(name)}" if name in clauses() else name)


def _details(result: RunResult, scenario: ScenarioResult, clause: str, clause_result: ClauseResult) -> str:
    lines = [f"{clause}: {clauses()[clause]['text']}"]
    for violation in clause_result.violations:
        events = ", ".join(map(str, violation.events)) or "none"
        lines += [f"expected: {violation.expected}", f"seen: {violation.seen}", f"events: {events}"]
    if scenario.history:
        lines.append(f"history: {scenario.history}")
    return "\n".join([*lines, f"run again: {result.replay(scenario)}", f"the clause: cryo-harness clauses {clause}"])


def _count(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(tag) is not None for case in cases)))
