"""Generated scenarios in a run: which ones are chosen, what they covered, and how a failing one is made smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from harness.checks.verdict import Verdict
from harness.generated import Impossible, by_name, compose, generate, is_generated, row_of_name
from harness.generated.compose import dimensions, usual_row
from harness.generated.cover import Pair, cover, pairs_of
from harness.report.result import ScenarioResult, in_order
from harness.resources import clause_ids
from harness.scenario import BadScenario, Scenario, find

RunOne = Callable[[Scenario], ScenarioResult]
MAX_SHRUNK = 5
"""Failing scenarios of one run that are made smaller; each takes up to a dozen more runs."""


def chosen(names: Iterable[str], *, count: int, seed: int, about: str) -> list[Scenario]:
    """Return the scenarios that a run names, and `count` generated ones; without either, all of ours.

    Raises:
        BadScenario: a name or a clause does not exist.
    """
    if about and about not in clause_ids():
        raise BadScenario(f"--about {about}: the contract has no such clause")
    if about and not count:
        raise BadScenario("--about chooses generated scenarios: add --generated N")
    own = [name for name in names if is_generated(name)]
    others = [name for name in names if not is_generated(name)]
    found = find(others) if others or not (own or count) else []
    return [*found, *map(_named, own), *generate(count, seed=seed, about=about)]


def _named(name: str) -> Scenario:
    scenario = by_name(name)
    if scenario is None:
        raise BadScenario(
            f"{name}: a generated scenario is called generated-SEED-NUMBER or generated-CLAUSE-SEED-NUMBER"
        )
    return scenario


def seed_of_week(now: datetime) -> int:
    """Return a seed that is another one each week, such as 202648."""
    year, week, _ = now.isocalendar()
    return year * 100 + week


def coverage(results: Sequence[ScenarioResult]) -> dict[str, Any]:
    """Return what generated scenarios have covered, as JSON.

    `values` has each value of each dimension, with the number of scenarios that had it and the clauses that they
    exercised; `uncovered` the pairs of values that came together in none, and `impossible` those that can't, with the
    reason.
    """
    values: dict[str, dict[str, Any]] = {
        name: {value: {"scenarios": 0, "clauses": set()} for value in known} for name, known in dimensions().items()
    }
    seen = set()
    for result in results:
        if not is_generated(result.name):
            continue
        row = row_of_name(result.name)
        seen |= set(pairs_of(row))
        exercised = {*result.checks.passed, *(violation.clause for violation in result.violations)}
        for name, value in row.items():
            values[name][value]["scenarios"] += 1
            values[name][value]["clauses"] |= exercised
    for known in values.values():
        for value in known.values():
            value["clauses"] = list(in_order(value["clauses"]))
    possible = cover()
    return {
        "values": values,
        "uncovered": [_texts(pair) for pair in sorted(possible.covered - seen)],
        "impossible": [{"pair": _texts(pair), "reason": reason} for pair, reason in possible.impossible.items()],
    }


def summary(results: Sequence[ScenarioResult]) -> str:
    """Return a line about what the generated scenarios among some results have covered; empty without any."""
    count = sum(is_generated(result.name) for result in results)
    if not count:
        return ""
    found = coverage(results)
    values = [value for known in found["values"].values() for value in known.values()]
    possible, missing = len(cover().covered), len(found["uncovered"])
    return (
        f"{count} generated scenarios: {sum(value['scenarios'] > 0 for value in values)} of {len(values)} values, "
        f"{possible - missing:,} of {possible:,} possible pairs ({len(found['impossible']):,} are impossible), "
        f"{sum(len(value['clauses']) for value in values):,} pairs of a value and a clause"
    )


def check_coverage(path: Path | None) -> None:
    """Check that a file can be written, before anything runs.

    Raises:
        BadScenario: its folder does not exist.
    """
    if path is not None and not path.parent.is_dir():
        raise BadScenario(f"--coverage {path}: the folder {path.parent} does not exist")


def _texts(pair: Pair) -> list[str]:
    return [f"{name}: {value}" for name, value in pair]


def show(results: Sequence[ScenarioResult], run_one: RunOne, *, seed: int) -> None:
    """Print what generated scenarios covered, and for the first failing ones which values are enough to fail."""
    if line := summary(results):
        typer.echo(f"{line}; seed {seed}")
    failing = [each for each in results if is_generated(each.name) and each.verdict is Verdict.FAIL]
    for result in failing[:MAX_SHRUNK]:
        smallest = shrink(row_of_name(result.name), {each.clause for each in result.violations}, run_one)
        typer.echo(f"{result.name} needs only: {'; '.join(smallest) or 'usual values'}")


def shrink(row: dict[str, str], clauses: set[str], run_one: RunOne) -> list[str]:
    """Return the unusual values of a row that a violation of `clauses` can't do without."""
    usual = usual_row()
    for name in [name for name, value in row.items() if value != usual[name]]:
        smaller = row | {name: usual[name]}
        try:
            scenario = compose(smaller, name="smaller")
        except Impossible:
            continue
        if clauses & {violation.clause for violation in run_one(scenario).violations}:
            row = smaller
    return [f"{name} {value}" for name, value in row.items() if value != usual[name]]
