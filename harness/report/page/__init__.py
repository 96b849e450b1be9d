"""The report as one HTML page, whole in itself: nothing is loaded, and nothing of a run can act in it.

A Content-Security-Policy lets in this module's own style and script, by their hashes, and nothing else; all that comes
from a run is escaped by the template engine.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from harness.checks.verdict import Verdict
from harness.report.groups import SOURCES, gist, grouped
from harness.report.names import names_of, printable, shorten
from harness.report.page.story import LANE, story
from harness.report.result import Cell, Result
from harness.report.steps import LANES
from harness.report.text import simplest_first
from harness.resources import clause_ids, clauses

CSS = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.NOT_EXERCISED: "unseen",
}
SIGNS = {
    Verdict.PASS: "",
    Verdict.FAIL: "\N{MULTIPLICATION SIGN}",
    Verdict.ERROR: "!",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_EXERCISED: "",
}
BAR = 1000


def render(result: Result) -> str:
    """Return the page."""
    style, script = _own("style.css"), _own("script.js")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    engine.filters["printable"] = printable
    counts = result.counts()
    broken = sorted(_broken(result), key=lambda one: -len(one["scenarios"]))
    by_name = {ran.name: ran for ran in result.scenarios if ran.verdict is not Verdict.PASS}
    order = dict.fromkeys([name for one in broken for name in one["scenarios"]] + list(by_name))
    page = engine.from_string(_own("page.html.j2")).render(
        result=result,
        target=printable(result.target),
        css={str(verdict): css for verdict, css in CSS.items()},
        lanes=LANES,
        lane=LANE,
        version=version("cryo-ingest"),
        style=Markup(style),  # noqa: S704 - this package's own file
        script=Markup(script),  # noqa: S704 - as above
        style_hash=_hash(style),
        script_hash=_hash(script),
        counts=counts,
        counts_said=", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count),
        bar=list(_bar(counts)),
        broken=broken,
        stories=[story(result, by_name[name]) for name in order],
        groups=_groups(result),
        complaints=list(map(printable, result.complaints)),
    )
    return page + "\n"


def _own(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _bar(counts: dict[Verdict, int]) -> Iterator[dict[str, Any]]:
    total, x = sum(counts.values()) or 1, 0.0
    for verdict, count in counts.items():
        width = BAR * count / total
        if count:
            yield {"css": CSS[verdict], "x": round(x, 1), "width": round(max(width - 2, 1), 1)}
        x += width


def _broken(result: Result) -> Iterator[dict[str, Any]]:
    """Yield each broken clause with the violation that is easiest to follow, and all scenarios that saw it broken."""
    seen = {violation.clause for ran in result.scenarios for violation in ran.judged.violations}
    for clause in clause_ids():
        if clause not in seen:
            continue
        having = simplest_first(result, clause)
        violation, names = having[0].cells()[clause].violations[0], names_of(having[0].events)
        yield {
            "id": clause,
            "source": SOURCES[clauses()[clause]["source"]],
            "gist": gist(clause),
            "text": clauses()[clause]["text"],
            "expected": shorten(violation.expected, names),
            "seen": shorten(violation.seen, names),
            "scenarios": [ran.name for ran in having],
            "known": [ran.name for ran in having if result.is_known(ran, clause)],
        }


def _groups(result: Result) -> dict[str, list[dict[str, Any]]]:
    verdicts = result.verdicts()
    cells = [(ran, ran.cells()) for ran in result.scenarios]
    return {
        title: [
            {
                "id": clause,
                "verdict": verdicts[clause],
                "gist": gist(clause),
                "text": clauses()[clause]["text"],
                "source": SOURCES[clauses()[clause]["source"]],
                "reason": printable(result.reason(clause)),
                "cells": [_cell(ran.name, found[clause]) for ran, found in cells if clause in found],
            }
            for clause in ids
        ]
        for title, ids in grouped(verdicts).items()
    }


def _cell(name: str, cell: Cell) -> dict[str, Any]:
    return {
        "name": name,
        "verdict": cell.verdict,
        "css": CSS[cell.verdict],
        "sign": SIGNS[cell.verdict],
        "story": cell.verdict in {Verdict.FAIL, Verdict.ERROR},
    }
