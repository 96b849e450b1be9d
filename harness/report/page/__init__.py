"""The report as one self-contained HTML page: it loads nothing, and text from a run can't act in it.

A Content-Security-Policy allows only the style and the script of this package, by their hashes. The template engine
escapes all text that comes from a run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from harness.checks.verdict import Verdict
from harness.report.groups import SOURCES, grouped, short_text
from harness.report.names import printable, short_names, shorten
from harness.report.page.failed_scenario import LANE, describe_scenario
from harness.report.result import ClauseResult, RunResult
from harness.report.steps import LANES
from harness.report.text import simplest_first
from harness.resources import clause_ids, clauses

CSS = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.NOT_EXERCISED: "not-exercised",
}
SIGNS = {
    Verdict.PASS: "",
    Verdict.FAIL: "\N{MULTIPLICATION SIGN}",
    Verdict.ERROR: "!",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_EXERCISED: "",
}
BAR = 1000
"""Width of the bar in its own units."""


def render(result: RunResult) -> str:
    """Return the page."""
    counts = result.counts()
    failures = sorted(_failures(result), key=lambda failure: -len(failure["scenarios"]))
    by_name = {scenario.name: scenario for scenario in result.scenarios if scenario.verdict is not Verdict.PASS}
    order = dict.fromkeys([name for failure in failures for name in failure["scenarios"]] + list(by_name))
    return render_page(
        _read("page.html.j2"),
        result=result,
        target=printable(result.target),
        css={str(verdict): css for verdict, css in CSS.items()},
        counts=counts,
        counts_text=", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count),
        bar=list(_bar(counts)),
        failures=failures,
        failed_scenarios=[describe_scenario(result, by_name[name]) for name in order],
        groups=_groups(result),
        complaints=list(map(printable, result.complaints)),
    )


def render_page(template: str, *, more_style: str = "", **values: Any) -> str:
    """Render a page with the style and the script of this package, which it allows by their hashes.

    `template` is its text, which can import `macros.html.j2`; `more_style` is added to the style.
    """
    style, script = _read("style.css") + more_style, _read("script.js")
    loader = DictLoader({"macros.html.j2": _read("macros.html.j2")})
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False, loader=loader)
    engine.filters["printable"] = printable
    page = engine.from_string(template).render(
        lanes=LANES,
        lane=LANE,
        version=version("cryo-ingest"),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - as above
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        **values,
    )
    return page + "\n"


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _bar(counts: dict[Verdict, int]) -> Iterator[dict[str, Any]]:
    total, x = sum(counts.values()) or 1, 0.0
    for verdict, count in counts.items():
        width = BAR * count / total
        if count:
            yield {"css": CSS[verdict], "x": round(x, 1), "width": round(max(width - 2, 1), 1)}
        x += width


def _failures(result: RunResult) -> Iterator[dict[str, Any]]:
    """Yield each violated clause, with the first violation of its simplest scenario and the names of all scenarios."""
    violated = {violation.clause for scenario in result.scenarios for violation in scenario.violations}
    for clause in clause_ids():
        if clause not in violated:
            continue
        scenarios = simplest_first(result, clause)
        violation = scenarios[0].by_clause()[clause].violations[0]
        names = short_names(scenarios[0].events)
        yield {
            "id": clause,
            "source": SOURCES[clauses()[clause]["source"]],
            "short_text": short_text(clause),
            "text": clauses()[clause]["text"],
            "expected": shorten(violation.expected, names),
            "seen": shorten(violation.seen, names),
            "scenarios": [scenario.name for scenario in scenarios],
            "known": [scenario.name for scenario in scenarios if result.is_known(scenario, clause)],
        }


def _groups(result: RunResult) -> dict[str, list[dict[str, Any]]]:
    verdicts = result.verdicts()
    by_scenario = {scenario.name: scenario.by_clause() for scenario in result.scenarios}
    return {
        title: [
            {
                "id": clause,
                "verdict": verdicts[clause],
                "short_text": short_text(clause),
                "text": clauses()[clause]["text"],
                "source": SOURCES[clauses()[clause]["source"]],
                "reason": printable(result.reason(clause)),
                "cells": [_cell(name, found[clause]) for name, found in by_scenario.items() if clause in found],
            }
            for clause in ids
        ]
        for title, ids in grouped(verdicts).items()
    }


def _cell(name: str, result: ClauseResult) -> dict[str, Any]:
    return {
        "name": name,
        "verdict": result.verdict,
        "css": CSS[result.verdict],
        "sign": SIGNS[result.verdict],
        "has_details": result.verdict in {Verdict.FAIL, Verdict.ERROR},
    }
