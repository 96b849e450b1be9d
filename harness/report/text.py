"""The report for a terminal: what failed, with the clause's own words and the events, then verdicts by group."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.text import Text

from harness.checks.verdict import Verdict
from harness.report.groups import gist, grouped
from harness.report.names import names_of, printable, shorten
from harness.report.narrate import last_words, narrate
from harness.report.result import Ran, Result, reasons
from harness.report.steps import Step
from harness.resources import clauses

STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold magenta",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_EXERCISED: "yellow",
}
SHOWN = 2
"""So many scenarios of a clause, and violations of a scenario, are shown; the JSON and the page have all."""
LONGEST = 600
EVENTS = 6
QUOTED = 400
"""A clause longer than this is quoted by its first words."""


def render(result: Result) -> str:
    """Return the report as plain text."""
    out = io.StringIO()
    tell(result, Console(file=out, color_system=None, force_terminal=False, width=120))
    return out.getvalue()


def tell(result: Result, console: Console) -> None:
    """Print the report; colours are the console's affair, as are NO_COLOR and what is no terminal."""
    for line in _lines(result):
        console.print(line, soft_wrap=True, highlight=False)


def _lines(result: Result) -> Iterator[Text]:
    verdicts = result.verdicts()
    broken = dict.fromkeys(
        violation.clause for ran in result.scenarios for violation in ran.judged.violations
    )  # also those that were not asked for
    for clause in sorted(broken, key=list(clauses()).index):
        yield from _failure(result, clause)
    for ran in result.scenarios:
        if ran.judged.errors:
            yield Text.assemble(("ERROR ", STYLES[Verdict.ERROR]), (ran.name, "bold"))
            yield from (Text(f"  {printable(error)}") for error in ran.judged.errors)
            yield Text(f"  again     {printable(result.replay(ran))}")
            yield Text()
    for title, ids in grouped(verdicts).items():
        line = Text(f"{title:24}")
        for verdict in Verdict:
            count = sum(verdicts[clause] is verdict for clause in ids)
            if count:
                line.append(f"{count:3} {verdict}", style=STYLES[verdict])
        yield line
    yield from _beside_passes(result, verdicts)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in result.counts().items() if count)
    yield Text()
    yield Text.assemble((f"{result.verdict} ", STYLES[result.verdict]), f"{printable(result.target)} {result.headline}")
    where = f"profile {result.profile}, " if result.profile else ""
    yield Text(f"{counts}; {where}{result.store}, {len(result.scenarios)} scenarios in {result.seconds:.0f} s")


def _beside_passes(result: Result, verdicts: Mapping[str, Verdict]) -> Iterator[Text]:
    for clause, verdict in verdicts.items():
        if verdict is not Verdict.PASS:
            reason = result.reason(clause)
            yield Text.assemble((f"{verdict:13} ", STYLES[verdict]), clause, f": {printable(reason)}" if reason else "")
    for line in reasons(result.skipped):
        yield Text.assemble(("left out      ", "yellow"), printable(line))
    for complaint in result.complaints:
        yield Text.assemble(("FAIL          ", STYLES[Verdict.FAIL]), printable(complaint))


def _failure(result: Result, clause: str) -> Iterator[Text]:
    having = simplest_first(result, clause)
    quote = clauses()[clause]["text"]
    said = quote if len(quote) <= QUOTED else f"{gist(clause)} …"
    yield Text.assemble(("FAIL ", STYLES[Verdict.FAIL]), (clause, "bold"), f" {said}")
    for ran in having[:SHOWN]:
        known = " (known)" if result.is_known(ran, clause) else ""
        yield Text.assemble("  in ", (ran.name, "bold"), f"{known}: {printable(ran.title)}")
        yield from _seen(ran, clause)
        if ran.history:
            yield Text(f"    history   {ran.history}")
        yield Text(f"    again     {printable(result.replay(ran))}")
    if len(having) > SHOWN:
        yield Text(f"  and in {', '.join(ran.name for ran in having[SHOWN:])}")
    yield Text()


def _seen(ran: Ran, clause: str) -> Iterator[Text]:
    """Give the violations of a clause, alike ones once, then the events that they name."""
    names = names_of(ran.events)
    violations = ran.cells()[clause].violations
    pairs = list(dict.fromkeys((shorten(one.expected, names), shorten(one.seen, names)) for one in violations))
    for expected, seen in pairs[:SHOWN]:
        yield Text(f"    expected  {expected[:LONGEST]}")
        yield Text(f"    seen      {seen[:LONGEST]}", style=STYLES[Verdict.FAIL])
    if len(pairs) > SHOWN:
        yield Text(f"              and {len(pairs) - SHOWN} more")
    cited = frozenset(number for one in violations for number in one.events)
    steps = [step for step in narrate(ran.events, cited) if cited.intersection(step.numbers) and step.mark != "end"]
    for step in steps[:EVENTS]:
        yield Text(f"    event     {of_step(step)}", style="dim")
    if len(steps) > EVENTS:
        yield Text(f"              and {len(steps) - EVENTS} more", style="dim")
    if words := last_words(ran.events, cited):
        yield Text(f"    its log   {words[:LONGEST]}", style="dim")
    if ran.events and ran.events[-1].number in cited:
        yield Text(f"    event     {ran.events[-1].number}: the state at the end", style="dim")


def simplest_first(result: Result, clause: str) -> list[Ran]:
    """Return the scenarios that saw a clause broken: those about it that show least else come first."""

    def key(ran: Ran) -> tuple[bool, int, int]:
        return clause not in ran.clauses, len({one.clause for one in ran.judged.violations}), len(ran.events)

    having = [ran for ran in result.scenarios if any(one.clause == clause for one in ran.judged.violations)]
    return sorted(having, key=key)


def of_step(step: Step) -> str:
    """Return a step as one line."""
    numbers = f"{step.numbers[0]}-{step.numbers[-1]}" if len(step.numbers) > 1 else str(step.numbers[0])
    who = f"{step.origin} → {step.goal}" if step.origin else step.goal
    answer = f" → {step.answer}" if step.answer else ""
    return f"{numbers:8} {step.at:+.2f} s  {who}: {step.text}{answer}"


def of_scenario(ran: Ran) -> Text:
    """Return the one line that says how a scenario ended."""
    word = "ok" if ran.verdict is Verdict.PASS else ran.verdict
    line = Text.assemble((f"{word:6}", STYLES[ran.verdict]), ran.name)
    broken = dict.fromkeys(violation.clause for violation in ran.judged.violations)
    said = [", ".join(broken), *map(printable, ran.judged.errors)]
    return line.append("".join(f"  {one}" for one in said if one))
