"""The input of every report: one frozen value, made from histories and the results of their checks."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from harness.checks.evidence import Violation
from harness.checks.verdict import CheckResult, Verdict, check_history, verdicts
from harness.history import Event, scenario_started
from harness.resources import clause_ids
from harness.scenario import Scenario

EXCLUDED_SHARE = 0.05
"""If more than this share of the clauses is excluded, the headline says so."""


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """The verdict of one scenario on one clause, with the reason where it is neither PASS nor FAIL."""

    verdict: Verdict
    reason: str = ""
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """One scenario: the result of the checks, its title and clauses, and its history.

    `history` is the path of the saved history, `file` that of the scenario where it is not one of ours.
    """

    checks: CheckResult
    title: str
    clauses: tuple[str, ...]
    events: tuple[Event, ...] = ()
    history: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        """The name of the scenario."""
        return self.checks.scenario

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The violations that the checks found."""
        return self.checks.violations

    @property
    def errors(self) -> tuple[str, ...]:
        """The errors of the harness."""
        return self.checks.errors

    @property
    def seconds(self) -> float:
        """The time of the last event."""
        return self.events[-1].at if self.events else 0.0

    @property
    def verdict(self) -> Verdict:
        """FAIL with a violation, else ERROR with an error, else PASS."""
        if self.violations:
            return Verdict.FAIL
        return Verdict.ERROR if self.errors else Verdict.PASS

    def by_clause(self) -> dict[str, ClauseResult]:
        """Return the result for each clause that the scenario names or violates."""
        violated = {violation.clause for violation in self.violations}
        return {
            clause: self._clause_result(clause) for clause in (*self.clauses, *in_order(violated - {*self.clauses}))
        }

    def _clause_result(self, clause: str) -> ClauseResult:
        violations = tuple(violation for violation in self.violations if violation.clause == clause)
        if violations:
            return ClauseResult(Verdict.FAIL, violations=violations)
        if self.errors:
            return ClauseResult(Verdict.ERROR, "; ".join(self.errors))
        if clause in self.checks.passed:
            return ClauseResult(Verdict.PASS)
        if clause in self.checks.inconclusive:
            return ClauseResult(Verdict.INCONCLUSIVE, self.checks.inconclusive[clause])
        return ClauseResult(Verdict.NOT_EXERCISED, "the scenario ended before it exercised this clause")


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run of the conformance kit.

    `profile` is core, hardened, or empty for a selection of scenarios. `clauses` are the clauses that count.
    `limitations` are those of the store. `options` are the options that `cryo-harness run SCENARIO` needs to repeat the
    run. `excluded` clauses and `skipped` scenarios have the reason as value. `known` are the listed failures that
    occurred, by `CLAUSE/SCENARIO`, with the message from the list. `complaints` are other reasons to fail the run, such
    as a listed failure that did not occur.
    """

    target: str
    store: str
    clauses: tuple[str, ...]
    scenarios: tuple[ScenarioResult, ...]
    profile: str = ""
    limitations: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    complaints: tuple[str, ...] = ()
    began_at: datetime | None = None
    seconds: float = 0.0

    def verdicts(self) -> dict[str, Verdict]:
        """Return the verdict on each clause that counts; excluded ones are NOT EXERCISED."""
        found = verdicts((scenario.checks for scenario in self.scenarios), self.clauses)
        in_error = {clause for scenario in self.scenarios if scenario.errors for clause in scenario.clauses}
        for clause, verdict in found.items():
            if clause in self.excluded:
                found[clause] = Verdict.NOT_EXERCISED
            elif verdict is Verdict.NOT_EXERCISED and clause in in_error:
                found[clause] = Verdict.ERROR
        return found

    def counts(self) -> dict[Verdict, int]:
        """Return the number of clauses with each verdict."""
        counted = Counter(self.verdicts().values())
        return {verdict: counted[verdict] for verdict in Verdict}

    def is_known(self, scenario: ScenarioResult, clause: str) -> bool:
        """Return whether the failure of a clause in a scenario is on the list of known failures."""
        return f"{clause}/{scenario.name}" in self.known

    @property
    def verdict(self) -> Verdict:
        """FAIL with a new failure or a complaint, else ERROR with an error, else PASS."""
        if self._newly_violated() or self.complaints:
            return Verdict.FAIL
        return Verdict.ERROR if any(scenario.errors for scenario in self.scenarios) else Verdict.PASS

    @property
    def headline(self) -> str:
        """The result as the rest of a sentence that begins with the target."""
        counts, total = self.counts(), len(self.clauses)
        passed = f"{counts[Verdict.PASS]} of {total} clauses passed"
        uncounted = in_order(self._newly_violated() - {*self.clauses})
        if counts[Verdict.FAIL]:
            known = ", all of them known" if self.verdict is not Verdict.FAIL else ""
            text = f"violates {counts[Verdict.FAIL]} of {total} clauses{known}"
        elif uncounted:
            text = f"violates {', '.join(uncounted)}, which this run does not count"
        elif self.complaints:
            text = f"differs from the list of known failures: {self.complaints[0]}"
        elif self.verdict is Verdict.ERROR:
            errors = sum(bool(scenario.errors) for scenario in self.scenarios)
            text = f"could not be checked completely: {errors} of {len(self.scenarios)} scenarios had errors, {passed}"
        elif counts[Verdict.PASS] == total:
            text = f"keeps all {total} clauses" if total > 1 else "keeps the clause"
        else:
            text = f"violates no clause; {passed}"
        excluded = sum(clause in self.excluded for clause in self.clauses)
        if excluded > EXCLUDED_SHARE * total:
            text += f"; {excluded} of {total} excluded"
        if self.skipped and not self.profile:
            text += f"; {len(self.skipped)} {'scenarios' if len(self.skipped) > 1 else 'scenario'} skipped"
        return text

    def _newly_violated(self) -> set[str]:
        """Return the violated clauses, including those that do not count, without known failures."""
        return {
            violation.clause
            for scenario in self.scenarios
            for violation in scenario.violations
            if not self.is_known(scenario, violation.clause)
        }

    def reason(self, clause: str) -> str:
        """Return why the verdict on a clause is neither PASS nor FAIL, or an empty text if it is one of them."""
        verdict = self.verdicts()[clause]
        if clause in self.excluded:
            return f"excluded: {self.excluded[clause]}"
        if verdict in {Verdict.PASS, Verdict.FAIL}:
            return ""
        results = (scenario.by_clause().get(clause) for scenario in self.scenarios)
        reasons = [result.reason for result in results if result is not None and result.verdict is verdict]
        return reasons[0] if reasons else "no scenario of this run exercises it"

    def replay(self, scenario: ScenarioResult) -> str:
        """Return the command that runs a scenario again."""
        return shlex.join(["cryo-harness", "run", scenario.file or scenario.name, *self.options])


def scenario_result(events: Iterable[Event], *, history: str = "", file: str = "") -> ScenarioResult:
    """Check a history and return the result of its scenario."""
    events = tuple(events)
    scenario = scenario_started(events).scenario
    return ScenarioResult(check_history(events), scenario["title"], tuple(scenario["clauses"]), events, history, file)


def error_result(scenario: Scenario, error: str, *, file: str = "") -> ScenarioResult:
    """Return the result of a scenario for which the harness recorded no history."""
    return ScenarioResult(CheckResult(scenario.name, errors=(error,)), scenario.title, scenario.clauses, file=file)


def run_result(scenarios: Iterable[ScenarioResult]) -> RunResult:
    """Return the result of saved histories; the clauses that count are those of their scenarios."""
    scenarios = tuple(scenarios)
    starts = [scenario_started(scenario.events) for scenario in scenarios if scenario.events]
    first = starts[0] if starts else None
    target, store = (first.target, first.store) if first else ("", "")
    stores = sorted({start.store for start in starts} - {"directory"}) or [store]
    return RunResult(
        target=target,
        store=stores[0],
        clauses=in_order(clause for scenario in scenarios for clause in scenario.clauses),
        scenarios=scenarios,
        limitations=tuple(first.limitations) if first else (),
        options=("--target", target, "--store", stores[0]),
        seconds=sum(scenario.seconds for scenario in scenarios),
    )


def in_order(clauses: Iterable[str]) -> tuple[str, ...]:
    """Return clauses in the order of the contract."""
    wanted = set(clauses)
    return tuple(clause for clause in clause_ids() if clause in wanted)


def lines_by_reason(skipped: Mapping[str, str]) -> list[str]:
    """Return one line for each reason, with the names of the scenarios that were skipped for it."""
    names: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        names.setdefault(reason, []).append(name)
    return [f"{', '.join(having)}: {reason}" for reason, having in names.items()]
