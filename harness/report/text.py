"""Verdicts as text: each violation with its clause's own words, each clause that did not pass, then counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict

if TYPE_CHECKING:
    from harness.checks.verdict import Judged

LONGEST = 400


def of_scenario(judged: Judged) -> str:
    """Return the lines of one scenario."""
    word = "ERROR" if judged.errors else "FAIL" if judged.violations else "ok"
    lines = [f"{word:5} {judged.scenario}"]
    lines += [f"      error: {error}" for error in judged.errors]
    for violation in judged.violations:
        lines.append(f"      {violation.clause}: {violation.quote}")
        lines.append(f"        expected {violation.expected[:LONGEST]}")
        lines.append(f"        seen     {violation.seen[:LONGEST]}")
        if violation.events:
            lines.append(f"        events   {', '.join(map(str, violation.events))}")
    return "\n".join(lines)


def of_clauses(verdicts: Mapping[str, Verdict], judged: Iterable[Judged]) -> str:
    """Return the summary: every clause that did not pass, and how many did."""
    reasons = {clause: reason for one in judged for clause, reason in one.unknowable.items()}
    lines = [
        f"{verdict:13} {clause}" + (f": {reasons[clause]}" if verdict is Verdict.INCONCLUSIVE else "")
        for clause, verdict in verdicts.items()
        if verdict is not Verdict.PASS
    ]
    counts = Counter(verdicts.values())
    return "\n".join([*lines, ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])])
