"""From histories to verdicts: every check on every history, then one word a clause.

FAIL where any history shows a violation. ERROR where the harness failed, a fault never fired, or a check did. PASS
where a scenario that names the clause showed it kept, INCONCLUSIVE where its store can't, else NOT EXERCISED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.checks import layout, outcomes, payload, publication, staging_and_caps
from harness.checks.evidence import Evidence, Found, Inconclusive, Violation, violation
from harness.resources import clause_ids

CHECKS: dict[str, Callable[[Evidence], Found]] = {
    **payload.CHECKS, **layout.CHECKS, **publication.CHECKS, **staging_and_caps.CHECKS, **outcomes.CHECKS,
}  # fmt: skip
"""The check of each clause."""


MOST_VIOLATIONS = 20
"""So many of a clause are told one by one."""


class Verdict(StrEnum):
    """What can be said of a clause."""

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    NOT_EXERCISED = "NOT EXERCISED"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Judged:
    """One scenario: its violations, the clauses it showed to be kept, what its store can't show, what went wrong."""

    scenario: str
    violations: tuple[Violation, ...] = ()
    kept: tuple[str, ...] = ()
    unknowable: dict[str, str] = field(default_factory=dict)
    errors: tuple[str, ...] = ()


def judge(events: list[Any]) -> Judged:
    """Judge one history."""
    evidence = Evidence(events)
    if events[-1].kind != "final":
        return Judged(evidence.scenario.name, errors=("the history has no end",))
    violations: list[Violation] = []
    kept: list[str] = []
    unknowable: dict[str, str] = {}
    errors = [f"a fault never fired: {fault}" for fault in evidence.final.unfired_faults]
    for clause, check in CHECKS.items():
        try:
            found = check(evidence)
        except Inconclusive as reason:
            unknowable[clause] = str(reason)
            continue
        except Exception as error:  # noqa: BLE001 - a check that breaks is an error of the harness, not of the worker
            errors.append(f"the check of {clause} broke: {type(error).__name__}: {error}")
            continue
        violations += _some(clause, found or [])
        if not found:
            violations += evidence.refused(clause)
            found = None if evidence.refused(clause) else found
        if found == [] and clause in evidence.scenario.clauses:
            kept.append(clause)
    kept = kept if evidence.shows else []
    unfired = [clause for clause in evidence.scenario.clauses if clause not in {*kept, *unknowable}]
    if unfired and not violations and not errors:
        why = "nothing that happened" if evidence.shows else "a task did not go as the scenario says, so that nothing"
        errors.append(f"{why} shows {', '.join(unfired)}, which the scenario names")
    return Judged(evidence.scenario.name, tuple(violations), tuple(kept), unknowable, tuple(errors))


def _some(clause: str, found: list[Violation]) -> list[Violation]:
    """Return the first of many violations of a clause, with one that says how many more there are."""
    if len(found) <= MOST_VIOLATIONS:
        return found
    more = f"{len(found) - MOST_VIOLATIONS} more of the kind"
    return [*found[:MOST_VIOLATIONS], violation(clause, found[-1].expected, more, *found[-1].events)]


def verdicts(judged: Iterable[Judged], asked: Iterable[str] | None = None) -> dict[str, Verdict]:
    """Return one verdict a clause; an error of a scenario is that of the clauses that no other scenario shows."""
    seen = list(judged)
    failed = {violation.clause for one in seen for violation in one.violations}
    kept = {clause for one in seen for clause in one.kept if not one.errors}
    broken = {clause for one in seen if one.errors for clause in one.kept}
    unknowable = {clause for one in seen for clause in one.unknowable}
    found = {}
    for clause in asked if asked is not None else clause_ids():
        found[clause] = (
            Verdict.FAIL if clause in failed
            else Verdict.ERROR if clause in broken
            else Verdict.PASS if clause in kept
            else Verdict.INCONCLUSIVE if clause in unknowable
            else Verdict.NOT_EXERCISED
        )  # fmt: skip
    return found


def good(judged: Iterable[Judged]) -> bool:
    """Tell whether nothing failed and nothing went wrong."""
    return not any(one.violations or one.errors for one in judged)
