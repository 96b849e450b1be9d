"""The result as Markdown, for a README or a comment: a table by group, then every clause that did not pass."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.checks.verdict import Verdict
from harness.report.groups import gist, grouped
from harness.report.names import printable
from harness.report.result import Result, reasons
from harness.report.text import simplest_first

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def render(result: Result) -> str:
    """Return the Markdown."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: Result) -> Iterator[str]:
    verdicts = result.verdicts()
    used = [verdict for verdict in Verdict if verdict in verdicts.values()]
    where = f"profile {result.profile}, " if result.profile else ""
    yield f"**{result.verdict}**: {_plain(result.target)} {_plain(result.headline)} "
    yield f"({where}on {_plain(result.store)}, {len(result.scenarios)} scenarios)."
    yield ""
    yield f"| clauses | {' | '.join(used)} |"
    yield f"|---|{'---:|' * len(used)}"
    for title, ids in grouped(verdicts).items():
        counts = [sum(verdicts[clause] is verdict for clause in ids) for verdict in used]
        yield f"| {title} | {' | '.join(str(count or '') for count in counts)} |"
    rest = [clause for clause, verdict in verdicts.items() if verdict is not Verdict.PASS]
    if rest or result.skipped or result.complaints:
        yield ""
    for clause in rest:
        having = [ran.name for ran in simplest_first(result, clause)]
        reason = f"in {', '.join(having)}" if verdicts[clause] is Verdict.FAIL else result.reason(clause)
        yield f"- **{verdicts[clause]}** {clause} ({_plain(gist(clause))}): {_plain(reason)}"
    yield from (f"- left out: {_plain(line)}" for line in reasons(result.skipped))
    for complaint in result.complaints:
        yield f"- **FAIL** {_plain(complaint)}"


def _plain(text: str) -> str:
    """Return a text that is nothing but text in Markdown."""
    return _MARKUP.sub(r"\\\1", " ".join(printable(text).split()))
