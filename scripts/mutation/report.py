"""Prints the score by group of clauses, and the survivors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.report.groups import TITLES, short_text
from mutation.verdict import Score, Verdict, scores

WITHOUT_CLAUSE = "no clause named"


def lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the tables of one worker's mutants."""
    counts = Counter(verdict.status for verdict in verdicts)
    total = Score(counts["killed"], counts["survived"])
    yield "| clauses | killed | survived | score |"
    yield "|---|---|---|---|"
    for group, score in scores(verdicts).items():
        title = f"{group}: {TITLES.get(group, '')}" if group else WITHOUT_CLAUSE
        yield f"| {title} | {score.killed} | {score.survived} | {score.percent:.0f} % |"
    yield f"| all | {total.killed} | {total.survived} | {total.percent:.0f} % |"
    by = Counter(verdict.by for verdict in verdicts if verdict.status == "killed")
    yield ""
    yield ", ".join(f"{count} killed by {what}" for what, count in sorted(by.items())) or "none killed"
    others = [f"{counts[status]} {status}" for status in ("explained", "invalid", "not judged") if counts[status]]
    yield f"not counted: {', '.join(others) or 'none'}"
    for verdict in verdicts:
        if verdict.status == "survived":
            yield ""
            yield from survivor(verdict)


def survivor(verdict: Verdict) -> Iterator[str]:
    """Yield what a reader needs to judge a survivor."""
    runs = f"{verdict.simulated} simulated runs, {verdict.scenarios} scenarios"
    reached = runs if verdict.simulated or verdict.scenarios else "no run reaches it"
    yield f"SURVIVED {verdict.name} ({reached})"
    for clause in verdict.touches[:3]:
        yield f"  seems to touch {clause}: {short_text(clause)}"
    yield from (f"  {line}" for line in verdict.diff.splitlines())


def progress(verdict: Verdict) -> str:
    """Return one line about a verdict."""
    what = f"{verdict.by}: {', '.join(verdict.reported) or verdict.problem[:80]}" if verdict.by else verdict.reason
    return f"{verdict.status:9} {verdict.name} ({verdict.seconds:.1f} s) {what}"
