"""Runs every check on a history, and combines the results of several histories into one verdict for each clause.

FAIL: at least one history violates the clause. ERROR: the harness or a check failed, or a fault never fired. PASS: a
scenario that lists the clause shows that the worker meets it. INCONCLUSIVE: this cannot be checked on the store.
Otherwise NOT EXERCISED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from harness.checks import layout, node_answers, outcomes, payload, publication, staging_and_caps
from harness.checks.evidence import Evidence, Findings, Inconclusive, Violation, violation
from harness.history import Event, FinalState, scenario_started
from harness.resources import clause_ids
from harness.scenario import Scenario

CHECKS: dict[str, Callable[[Evidence], Findings]] = {
    **payload.CHECKS, **layout.CHECKS, **publication.CHECKS, **node_answers.CHECKS, **staging_and_caps.CHECKS,
    **outcomes.CHECKS,
}  # fmt: skip
"""The check of each clause."""


NOT_SHOWN = "shows "
"""What the error of a history contains that shows nothing about a clause: injected faults may prevent that."""
MAX_VIOLATIONS = 20
"""Violations of one clause that are reported one by one; one more says how many others there are."""


class Verdict(StrEnum):
    """The verdict on a clause."""

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    NOT_EXERCISED = "NOT EXERCISED"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of all checks on one history.

    `passed` are the clauses of the scenario that were exercised and met, `inconclusive` those that cannot be checked on
    the store, with the reason. `errors` are failures of the harness, faults that never fired, and checks that failed.
    """

    scenario: str
    violations: tuple[Violation, ...] = ()
    passed: tuple[str, ...] = ()
    inconclusive: dict[str, str] = field(default_factory=dict)
    errors: tuple[str, ...] = ()


def check_history(events: Sequence[Event]) -> CheckResult:
    """Run all checks on one history."""
    if not isinstance(events[-1], FinalState):
        name = Scenario.model_validate(scenario_started(events).scenario).name
        return CheckResult(name, errors=("the history has no final state",))
    evidence = Evidence(events)
    named = evidence.scenario.clauses
    violations: list[Violation] = []
    passed: list[str] = []
    inconclusive: dict[str, str] = {}
    errors = [f"a fault never fired: {fault}" for fault in evidence.final.unfired_faults]
    for clause, check in CHECKS.items():
        try:
            findings = check(evidence)
        except Inconclusive as reason:
            inconclusive[clause] = str(reason)
            continue
        except Exception as error:  # noqa: BLE001 - a check that fails is an error of the harness, not of the worker
            errors.append(f"the check of {clause} failed: {type(error).__name__}: {error}")
            continue
        rejected = evidence.rejected_requests(clause)
        violations += _limited(clause, findings) if findings else rejected
        if findings == [] and not rejected and clause in named:
            passed.append(clause)
    passed = passed if evidence.went_as_expected else []
    not_shown = [clause for clause in named if clause not in {*passed, *inconclusive}]
    if not_shown and not violations and not errors:
        subject = "no event" if evidence.went_as_expected else "a task did not go as the scenario expects, so no event"
        errors.append(f"{subject} {NOT_SHOWN}{', '.join(not_shown)}, which the scenario names")
    return CheckResult(evidence.scenario.name, tuple(violations), tuple(passed), inconclusive, tuple(errors))


def _limited(clause: str, violations: list[Violation]) -> list[Violation]:
    """Return at most `MAX_VIOLATIONS` violations of a clause, and one that counts the others."""
    if len(violations) <= MAX_VIOLATIONS:
        return violations
    last = violations[-1]
    more = f"{len(violations) - MAX_VIOLATIONS} more violations"
    return [*violations[:MAX_VIOLATIONS], violation(clause, last.expected, more, *last.events)]


def verdicts(results: Iterable[CheckResult], clauses: Iterable[str] | None = None) -> dict[str, Verdict]:
    """Return the verdict on each clause, by default on all clauses of the contract.

    ERROR of a scenario counts only for clauses that no other scenario shows.
    """
    results = list(results)
    failed = {violation.clause for result in results for violation in result.violations}
    passed = {clause for result in results for clause in result.passed if not result.errors}
    in_error = {clause for result in results if result.errors for clause in result.passed}
    inconclusive = {clause for result in results for clause in result.inconclusive}
    found = {}
    for clause in clauses if clauses is not None else clause_ids():
        found[clause] = (
            Verdict.FAIL if clause in failed
            else Verdict.ERROR if clause in in_error
            else Verdict.PASS if clause in passed
            else Verdict.INCONCLUSIVE if clause in inconclusive
            else Verdict.NOT_EXERCISED
        )  # fmt: skip
    return found
