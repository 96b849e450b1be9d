"""A profile for a target: the clauses that it requires, and the scenarios that exercise them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.kit.running import runnable
from harness.report.result import ScenarioResult, in_order
from harness.resources import clause_ids, clauses
from harness.scenario import Scenario
from harness.scenario.expectations import CHANGE_NO_OUTCOME
from harness.targets import Target

Profile = Literal["core", "hardened"]
ADDED = "+"
"""The `source` of clauses that only `hardened` has."""


@dataclass(frozen=True, slots=True)
class ProfilePlan:
    """What to run: `clauses` are those of the profile, `excluded` those that the target does not claim to meet.

    Each scenario lists only required clauses. `skipped` are the scenarios that can't run, with the reason.
    """

    clauses: tuple[str, ...]
    excluded: dict[str, str]
    scenarios: tuple[Scenario, ...]
    skipped: dict[str, str]

    @property
    def required(self) -> set[str]:
        """The clauses that the target must meet: `clauses` without `excluded`."""
        return set(self.clauses) - set(self.excluded)

    def skipped_of(self, scenarios: Iterable[Scenario]) -> dict[str, str]:
        """Return those of some scenarios that this plan does not run, with the reason."""
        planned = {scenario.name for scenario in self.scenarios}
        skipped = dict(self.skipped)
        for scenario in scenarios:
            if scenario.name not in planned and scenario.name not in skipped:
                others = ", ".join(in_order(set(scenario.clauses) - self.required))
                skipped[scenario.name] = f"exercises {others}, which this profile or target does not require"
        return skipped

    def without_excluded(self, ran: ScenarioResult) -> ScenarioResult:
        """Return a judged scenario without violations of clauses that are not required."""
        required = self.required
        violations = tuple(violation for violation in ran.violations if violation.clause in required)
        return replace(ran, checks=replace(ran.checks, violations=violations))


def clauses_of(profile: Profile) -> tuple[str, ...]:
    """Return the clauses of a profile in the contract's order."""
    known = clauses()
    return tuple(clause for clause in clause_ids() if profile == "hardened" or known[clause]["source"] != ADDED)


def plan(target: Target, profile: Profile, scenarios: Sequence[Scenario]) -> ProfilePlan:
    """Choose the scenarios of a profile that a target can run."""
    all_clauses = clauses_of(profile)
    excluded = {clause: reason for clause, reason in target.cannot.items() if clause in all_clauses}
    required = set(all_clauses) - set(excluded)
    chosen = [scenario for scenario in scenarios if set(scenario.clauses) & required and _is_fair(scenario, required)]
    fitting, skipped = runnable(chosen, target)
    planned = tuple(
        scenario.model_copy(update={"clauses": in_order(required.intersection(scenario.clauses))})
        for scenario in fitting
    )
    return ProfilePlan(all_clauses, excluded, planned, skipped)


def _is_fair(scenario: Scenario, required: set[str]) -> bool:
    """Return whether a worker that meets only the required clauses ends the scenario's tasks as the scenario expects.

    It does if the scenario's other clauses don't influence the outcome: because they never do, or because nothing goes
    wrong in the scenario. Their violations are ignored.
    """
    if set(scenario.clauses) <= required | CHANGE_NO_OUTCOME:
        return True
    faults = (scenario.cryo_faults, scenario.store_faults, scenario.rpc_faults, scenario.dispatcher_faults)
    preloaded = (scenario.preloaded_objects, scenario.preloaded_files, scenario.triggers)
    all_succeed = all(line.outcome == "success" and line.raw is None for line in scenario.tasks)
    return all_succeed and not any((*faults, *preloaded))
