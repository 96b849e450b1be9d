"""The report for a terminal: each failure with the text of its clause and the events, then the verdicts by group."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.text import Text

from harness.checks.verdict import Verdict
from harness.report.groups import grouped, short_text
from harness.report.names import printable, short_names, shorten
from harness.report.result import RunResult, ScenarioResult, lines_by_reason
from harness.report.steps import TimelineStep
from harness.report.timeline import last_log_line, timeline
from harness.resources import clauses

STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold magenta",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_EXERCISED: "yellow",
}
MAX_SHOWN = 2
"""Scenarios of a clause, and violations of a scenario, that are shown; the JSON report and the page have all."""
MAX_CHARACTERS = 600
MAX_EVENTS = 6
MAX_CLAUSE_CHARACTERS = 400
"""Of a longer clause only the first sentence is shown."""


def render(result: RunResult) -> str:
    """Return the report as plain text."""
    out = io.StringIO()
    print_report(result, Console(file=out, color_system=None, force_terminal=False, width=120))
    return out.getvalue()


def print_report(result: RunResult, console: Console) -> None:
    """Print the report; the console decides about colours, including NO_COLOR and output that is not a terminal."""
    for line in _lines(result):
        console.print(line, soft_wrap=True, highlight=False)


def _lines(result: RunResult) -> Iterator[Text]:
    verdicts = result.verdicts()
    # Clauses that do not count are shown, too, if they are violated.
    violated = {violation.clause for scenario in result.scenarios for violation in scenario.violations}
    for clause in sorted(violated, key=list(clauses()).index):
        yield from _failure(result, clause)
    for scenario in result.scenarios:
        if scenario.errors:
            yield Text.assemble(("ERROR ", STYLES[Verdict.ERROR]), (scenario.name, "bold"))
            yield from (Text(f"  {printable(error)}") for error in scenario.errors)
            yield Text(f"  run again {printable(result.replay(scenario))}")
            yield Text()
    for title, ids in grouped(verdicts).items():
        line = Text(f"{title:24}")
        for verdict in Verdict:
            count = sum(verdicts[clause] is verdict for clause in ids)
            if count:
                line.append(f"{count:3} {verdict}", style=STYLES[verdict])
        yield line
    yield from _not_passed(result, verdicts)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in result.counts().items() if count)
    yield Text()
    yield Text.assemble((f"{result.verdict} ", STYLES[result.verdict]), f"{printable(result.target)} {result.headline}")
    profile = f"profile {result.profile}, " if result.profile else ""
    yield Text(f"{counts}; {profile}{result.store}, {len(result.scenarios)} scenarios in {result.seconds:.0f} s")


def _not_passed(result: RunResult, verdicts: Mapping[str, Verdict]) -> Iterator[Text]:
    """Yield a line for each clause without PASS, each reason to skip scenarios, and each complaint."""
    for clause, verdict in verdicts.items():
        if verdict is not Verdict.PASS:
            reason = result.reason(clause)
            yield Text.assemble((f"{verdict:13} ", STYLES[verdict]), clause, f": {printable(reason)}" if reason else "")
    for line in lines_by_reason(result.skipped):
        yield Text.assemble(("skipped       ", "yellow"), printable(line))
    for complaint in result.complaints:
        yield Text.assemble(("FAIL          ", STYLES[Verdict.FAIL]), printable(complaint))


def _failure(result: RunResult, clause: str) -> Iterator[Text]:
    """Yield the text of a violated clause, and its violations in the simplest scenarios."""
    scenarios = simplest_first(result, clause)
    full_text = clauses()[clause]["text"]
    clause_text = full_text if len(full_text) <= MAX_CLAUSE_CHARACTERS else f"{short_text(clause)} …"
    yield Text.assemble(("FAIL ", STYLES[Verdict.FAIL]), (clause, "bold"), f" {clause_text}")
    for scenario in scenarios[:MAX_SHOWN]:
        known = " (known)" if result.is_known(scenario, clause) else ""
        yield Text.assemble("  in ", (scenario.name, "bold"), f"{known}: {printable(scenario.title)}")
        yield from _violations(scenario, clause)
        if scenario.history:
            yield Text(f"    history   {scenario.history}")
        yield Text(f"    run again {printable(result.replay(scenario))}")
    yield Text(f"  clause    cryo-harness clauses {clause}")
    if len(scenarios) > MAX_SHOWN:
        yield Text(f"  and in {', '.join(scenario.name for scenario in scenarios[MAX_SHOWN:])}")
    yield Text()


def _violations(scenario: ScenarioResult, clause: str) -> Iterator[Text]:
    """Yield the violations of a clause, equal ones once, then the events that they cite."""
    names = short_names(scenario.events)
    violations = scenario.by_clause()[clause].violations
    pairs = list(dict.fromkeys((shorten(item.expected, names), shorten(item.seen, names)) for item in violations))
    for expected, seen in pairs[:MAX_SHOWN]:
        yield Text(f"    expected  {expected[:MAX_CHARACTERS]}")
        yield Text(f"    seen      {seen[:MAX_CHARACTERS]}", style=STYLES[Verdict.FAIL])
    if len(pairs) > MAX_SHOWN:
        yield Text(f"              and {len(pairs) - MAX_SHOWN} more")
    cited = frozenset(number for item in violations for number in item.events)
    steps = [
        step
        for step in timeline(scenario.events, cited)
        if cited.intersection(step.event_numbers) and step.mark != "end"
    ]
    for step in steps[:MAX_EVENTS]:
        yield Text(f"    event     {step_line(step)}", style="dim")
    if len(steps) > MAX_EVENTS:
        yield Text(f"              and {len(steps) - MAX_EVENTS} more", style="dim")
    if line := last_log_line(scenario.events, cited):
        yield Text(f"    last log  {line[:MAX_CHARACTERS]}", style="dim")
    if scenario.events and scenario.events[-1].number in cited:
        yield Text(f"    event     {scenario.events[-1].number}: the final state", style="dim")


def simplest_first(result: RunResult, clause: str) -> list[ScenarioResult]:
    """Return the scenarios that violate a clause, the easiest to understand first.

    Scenarios that name the clause come first, then those with fewer violated clauses, then those with fewer events.
    """

    def key(scenario: ScenarioResult) -> tuple[bool, int, int]:
        violated = {violation.clause for violation in scenario.violations}
        return clause not in scenario.clauses, len(violated), len(scenario.events)

    violating = [
        scenario
        for scenario in result.scenarios
        if any(violation.clause == clause for violation in scenario.violations)
    ]
    return sorted(violating, key=key)


def step_line(step: TimelineStep) -> str:
    """Return a step as one line."""
    first, last = step.event_numbers[0], step.event_numbers[-1]
    numbers = str(first) if first == last else f"{first}-{last}"
    lanes = f"{step.source} → {step.target}" if step.source else step.target
    response = f" → {step.response}" if step.response else ""
    return f"{numbers:8} {step.at:+.2f} s  {lanes}: {step.text}{response}"


def scenario_line(scenario: ScenarioResult) -> Text:
    """Return the verdict on a scenario as one line, with violated clauses and errors."""
    word = "ok" if scenario.verdict is Verdict.PASS else scenario.verdict
    line = Text.assemble((f"{word:6}", STYLES[scenario.verdict]), scenario.name)
    violated = dict.fromkeys(violation.clause for violation in scenario.violations)
    details = [", ".join(violated), *map(printable, scenario.errors)]
    return line.append("".join(f"  {detail}" for detail in details if detail))
