"""The report as JUnit XML: a suite for each scenario, a test case for each clause that it says something of.

What Jenkins, GitLab, GitHub and Maven take in common: testsuites, testsuite, properties, testcase, and one of failure,
error or skipped in it. NOT EXERCISED, INCONCLUSIVE and what was left out are skipped, with the reason.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from harness.checks.verdict import Verdict
from harness.report.groups import gist
from harness.report.names import printable
from harness.report.result import Cell, Ran, Result
from harness.resources import clauses

SKIPPED = {Verdict.NOT_EXERCISED, Verdict.INCONCLUSIVE}
UNSEEN = "clauses that no scenario showed"


def render(result: Result) -> str:
    """Return the XML text."""
    root = ET.Element("testsuites", name=f"cryo_ingest contract, {result.target}", time=f"{result.seconds:.3f}")
    for ran in result.scenarios:
        suite = _suite(root, result, ran.name, ran.seconds)
        for clause, cell in ran.cells().items():
            known = result.known.get(f"{clause}/{ran.name}")
            _case(suite, ran.name, clause, cell, _details(result, ran, clause, cell), known)
        if not len(suite.findall("testcase")):
            _case(suite, ran.name, "the scenario", Cell(ran.verdict, "; ".join(ran.judged.errors)), "", None)
    seen = {clause for ran in result.scenarios for clause in ran.cells()}
    unseen = [clause for clause in result.asked if clause not in seen]
    if unseen or result.skipped or result.complaints:
        suite = _suite(root, result, UNSEEN, 0.0)
        for clause in unseen:
            _case(suite, UNSEEN, clause, Cell(Verdict.NOT_EXERCISED, result.reason(clause)), "", None)
        for name, reason in result.skipped.items():
            _case(suite, UNSEEN, name, Cell(Verdict.NOT_EXERCISED, f"left out: {reason}"), "", None)
        for complaint in result.complaints:
            _case(suite, UNSEEN, complaint, Cell(Verdict.FAIL), complaint, None)
    for suite in root:
        _count(suite)
    _count(root)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ['<?xml version="1.0" encoding="UTF-8"?>\n', "\n"]
    )


def _suite(root: ET.Element, result: Result, name: str, seconds: float) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=name, time=f"{seconds:.3f}")
    if result.began_at is not None:
        suite.set("timestamp", result.began_at.strftime("%Y-%m-%dT%H:%M:%S"))
    told = {"target": result.target, "profile": result.profile, "store": result.store}
    properties = ET.SubElement(suite, "properties")
    for key, value in told.items():
        ET.SubElement(properties, "property", name=key, value=printable(value))
    return suite


def _case(suite: ET.Element, scenario: str, name: str, cell: Cell, details: str, known: str | None) -> None:
    case = ET.SubElement(suite, "testcase", classname=scenario, name=_named(name), time="0")
    if cell.verdict is Verdict.FAIL and known is not None:
        ET.SubElement(case, "skipped", message=printable(f"known failure: {known}")).text = printable(details)
    elif cell.verdict is Verdict.FAIL:
        message = cell.violations[0].seen if cell.violations else details
        said = f"{len(cell.violations)} violations; seen: {message}" if len(cell.violations) > 1 else f"seen: {message}"
        ET.SubElement(case, "failure", type=name, message=printable(said)).text = printable(details)
    elif cell.verdict is Verdict.ERROR:
        ET.SubElement(case, "error", type="ERROR", message=printable(cell.reason)).text = printable(details)
    elif cell.verdict in SKIPPED:
        ET.SubElement(case, "skipped", message=printable(f"{cell.verdict}: {cell.reason}"))


def _named(name: str) -> str:
    return printable(f"{name} {gist(name)}" if name in clauses() else name)


def _details(result: Result, ran: Ran, clause: str, cell: Cell) -> str:
    lines = [f"{clause}: {clauses()[clause]['text']}"]
    for violation in cell.violations:
        events = ", ".join(map(str, violation.events)) or "none"
        lines += [f"expected: {violation.expected}", f"seen: {violation.seen}", f"events: {events}"]
    if ran.history:
        lines.append(f"history: {ran.history}")
    return "\n".join([*lines, f"again: {result.replay(ran)}"])


def _count(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(tag) is not None for case in cases)))
