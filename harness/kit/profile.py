"""A profile for a target: the clauses that count, and the scenarios that show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.checks.verdict import Judged
from harness.kit.running import runnable
from harness.report.result import Ran, in_order
from harness.resources import clause_ids, clauses
from harness.scenario import Scenario
from harness.targets import Target

Profile = Literal["core", "hardened"]
ADDED = "+"
"""The source of the clauses that `hardened` has and `core` has not."""


@dataclass(frozen=True, slots=True)
class ProfilePlan:
    """What is run: `asked` are the profile's clauses, `excluded` those of them that the target does not claim to keep.

    Each scenario names only clauses that count. `skipped` are scenarios that can't run, with the reason.
    """

    asked: tuple[str, ...]
    excluded: dict[str, str]
    scenarios: tuple[Scenario, ...]
    skipped: dict[str, str]

    @property
    def counting(self) -> set[str]:
        """The clauses that the target is held to."""
        return set(self.asked) - set(self.excluded)

    def left_out(self, scenarios: Iterable[Scenario]) -> dict[str, str]:
        """Return those of some scenarios that are not of this plan, with the reason."""
        planned = {one.name for one in self.scenarios}
        found = dict(self.skipped)
        for one in scenarios:
            if one.name not in planned and one.name not in found:
                others = ", ".join(in_order(set(one.clauses) - self.counting))
                found[one.name] = f"about {others}, which this profile and target leave out"
        return found

    def counted(self, ran: Ran) -> Ran:
        """Return a judged scenario without violations of clauses that do not count."""
        judged, counting = ran.judged, self.counting
        kept = tuple(one for one in judged.violations if one.clause in counting)
        return replace(ran, judged=Judged(judged.scenario, kept, judged.kept, judged.unknowable, judged.errors))


def clauses_of(profile: Profile) -> tuple[str, ...]:
    """Return the clauses of a profile in the contract's order."""
    known = clauses()
    return tuple(one for one in clause_ids() if profile == "hardened" or known[one]["source"] != ADDED)


def plan(target: Target, profile: Profile, scenarios: Sequence[Scenario]) -> ProfilePlan:
    """Choose the scenarios of a profile that a target can be put into."""
    asked = clauses_of(profile)
    excluded = {clause: reason for clause, reason in target.cannot.items() if clause in asked}
    counting = set(asked) - set(excluded)
    fair = [one for one in scenarios if set(one.clauses) & counting and _fair(one, asked, excluded)]
    found, skipped = runnable(fair, target)
    left = [one.model_copy(update={"clauses": in_order(counting.intersection(one.clauses))}) for one in found]
    return ProfilePlan(asked, excluded, tuple(left), skipped)


def _fair(scenario: Scenario, asked: Iterable[str], excluded: Iterable[str]) -> bool:
    """Tell whether a worker that keeps what counts, and no more, ends the scenario's tasks as it says.

    It does where the scenario is about nothing else, or where nothing goes wrong in it: what it asks besides is then
    not counted, and hinders nothing.
    """
    if set(scenario.clauses) <= set(asked) - set(excluded):
        return True
    thrown = (scenario.cryo_faults, scenario.store_faults, scenario.rpc_faults, scenario.dispatcher_faults)
    placed = (scenario.preloaded_objects, scenario.preloaded_files, scenario.triggers)
    straight = all(line.outcome == "success" and line.raw is None for line in scenario.tasks)
    return straight and not any((*thrown, *placed))
