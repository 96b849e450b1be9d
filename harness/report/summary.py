"""The result as Markdown, for a README or a comment: a table by group, then every clause that did not pass."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.checks.verdict import Verdict
from harness.report.groups import grouped, short_text
from harness.report.names import printable
from harness.report.result import RunResult, lines_by_reason
from harness.report.text import simplest_first

MAX_NAMES = 3
"""Scenarios that are named for each clause; the JSON report has all."""
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def render(result: RunResult) -> str:
    """Return the Markdown."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: RunResult) -> Iterator[str]:
    verdicts = result.verdicts()
    used = [verdict for verdict in Verdict if verdict in verdicts.values()]
    profile = f"profile {result.profile}, " if result.profile else ""
    yield f"**{result.verdict}**: {_escaped(result.target)} {_escaped(result.headline)} "
    yield f"({profile}on {_escaped(result.store)}, {len(result.scenarios)} scenarios)."
    yield ""
    yield f"| clauses | {' | '.join(used)} |"
    yield f"|---|{'---:|' * len(used)}"
    for title, ids in grouped(verdicts).items():
        counts = [sum(verdicts[clause] is verdict for clause in ids) for verdict in used]
        yield f"| {title} | {' | '.join(str(count or '') for count in counts)} |"
    not_passed = [clause for clause, verdict in verdicts.items() if verdict is not Verdict.PASS]
    if not_passed or result.skipped or result.complaints:
        yield ""
    for clause in not_passed:
        names = [scenario.name for scenario in simplest_first(result, clause)]
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        found = f"in {', '.join(names[:MAX_NAMES])}{more}"
        reason = found if verdicts[clause] is Verdict.FAIL else result.reason(clause)
        yield f"- **{verdicts[clause]}** {clause} ({_escaped(short_text(clause))}): {_escaped(reason)}"
    yield from (f"- skipped: {_escaped(line)}" for line in lines_by_reason(result.skipped))
    for complaint in result.complaints:
        yield f"- **FAIL** {_escaped(complaint)}"
    if not_passed:
        yield ""
        yield "`cryo-harness clauses ID` prints the text of a clause, its scenarios and who requires it."


def _escaped(text: str) -> str:
    """Return a text with all Markdown and HTML markup escaped."""
    return _MARKUP.sub(r"\\\1", " ".join(printable(text).split()))
