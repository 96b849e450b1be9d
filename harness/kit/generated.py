"""Generated scenarios in a run: which ones are chosen, what they covered, and how a failing one is made smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import typer

from harness.checks.verdict import Verdict
from harness.generated import Impossible, by_name, compose, generate, is_generated, row_of_name
from harness.generated.compose import dimensions, usual_row
from harness.generated.cover import cover, pairs_of
from harness.report.result import ScenarioResult
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
    try:
        scenario = by_name(name)
    except Impossible as reason:  # pragma: no cover - rows are possible
        raise BadScenario(f"{name}: {reason}") from None
    if scenario is None:
        raise BadScenario(
            f"{name}: a generated scenario is called generated-SEED-NUMBER or generated-CLAUSE-SEED-NUMBER"
        )
    return scenario


def seed_of_week(now: datetime) -> int:
    """Return a seed that is another one each week, such as 202648."""
    year, week, _ = now.isocalendar()
    return year * 100 + week


def summary(results: Sequence[ScenarioResult]) -> Iterator[str]:
    """Yield lines about what the generated scenarios among some results have covered."""
    rows = [(row_of_name(result.name), result) for result in results if is_generated(result.name)]
    if not rows:
        return
    values = {value for row, _ in rows for value in row.items()}
    pairs = {pair for row, _ in rows for pair in pairs_of(row)}
    with_clauses = {
        (*value, clause)
        for row, result in rows
        for value in row.items()
        for clause in (*result.checks.passed, *(violation.clause for violation in result.violations))
    }
    known = cover()
    total = sum(map(len, dimensions().values()))
    yield (
        f"{len(rows)} generated scenarios: {len(values)} of {total} values, {len(pairs & known.covered):,} of "
        f"{len(known.covered):,} possible pairs ({len(known.impossible):,} are impossible), "
        f"{len(with_clauses):,} pairs of a value and a clause"
    )


def show(results: Sequence[ScenarioResult], run_one: RunOne, *, seed: int) -> None:
    """Print what generated scenarios covered, and for the first failing ones which values are enough to fail."""
    for line in summary(results):
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
