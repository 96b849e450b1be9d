"""`cryo-harness clauses`: the clauses of the contract, with their scenarios and the bugs that violate them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from harness.kit.profile import Profile, clauses_of
from harness.reference.bugs import BUGS
from harness.report.groups import SOURCES, TITLES, grouped, profiles_of, short_text
from harness.resources import clauses
from harness.scenario import Scenario, find

DETAILED = 5
"""Up to this number of clauses are printed with everything about them, more with one line for each."""


def clauses_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID|GROUP]…", help="Clauses such as LAY-3, or groups such as LAY; all by default."),
    ] = None,
    profile: Annotated[Profile | None, typer.Option(help="Only the clauses of this profile.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer's form
) -> None:
    """Print clauses of the contract: text, who requires it, scenarios that exercise it, bugs that violate it.

    The letter of a clause says who requires it: S the specification, W the platform, + this project. Profile core has
    S and W, hardened has all.

    Example: cryo-harness clauses LAY-3
    """
    chosen = _chosen(names or (), clauses_of(profile or "hardened"))
    scenarios = find()
    facts = [_facts(clause, scenarios) for clause in chosen]
    if as_json:
        typer.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    console = Console()
    lines = _details(facts) if len(facts) <= DETAILED else _list(facts)
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def _chosen(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    wanted = {name.upper() for name in names}
    for name in wanted:
        if name not in TITLES and name not in clauses():
            groups = ", ".join(TITLES)
            raise typer.BadParameter(f"unknown clause or group {name!r}; the groups are {groups}", param_hint="ID")
    chosen = [clause for clause in ids if not wanted or wanted & {clause, clause.partition("-")[0]}]
    if not chosen:
        raise typer.BadParameter("the profile does not have these clauses", param_hint="--profile")
    return chosen


def _facts(clause: str, scenarios: Sequence[Scenario]) -> dict[str, Any]:
    contract = clauses()[clause]
    return {
        "id": clause,
        "source": contract["source"],
        "profiles": list(profiles_of(clause)),
        "text": contract["text"],
        "scenarios": {scenario.name: scenario.title for scenario in scenarios if clause in scenario.clauses},
        "bugs": {bug.name: bug.does for bug in BUGS if bug.clause == clause},
    }


def _list(facts: Sequence[dict[str, Any]]) -> Iterator[Text]:
    by_id = {fact["id"]: fact for fact in facts}
    for title, ids in grouped(by_id).items():
        yield Text(title, style="bold")
        for clause in ids:
            yield Text(f"  {clause:7} {by_id[clause]['source']}  {short_text(clause)}")
    yield Text()
    yield Text("; ".join(f"{letter} {meaning}" for letter, meaning in SOURCES.items()))
    yield Text("`cryo-harness clauses ID` prints the complete text")


def _details(facts: Sequence[dict[str, Any]]) -> Iterator[Text]:
    for fact in facts:
        yield Text.assemble((fact["id"], "bold"), f"  {SOURCES[fact['source']]}; profile {', '.join(fact['profiles'])}")
        yield Text(fact["text"])
        for heading, entries in (("scenarios", fact["scenarios"]), ("bugs of the reference worker", fact["bugs"])):
            yield Text(f"\n{heading}", style="bold")
            yield from (Text(f"  {name:32} {text}") for name, text in entries.items())
        yield Text()
