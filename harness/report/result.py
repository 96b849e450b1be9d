"""What every report is made of: one frozen value, read from histories and their verdicts; no report looks further."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from harness.checks.evidence import Violation
from harness.checks.verdict import Judged, Verdict, judge, verdicts
from harness.history import Event, begun
from harness.resources import clause_ids
from harness.scenario import Scenario

EXCLUDED_SHARE = 0.05
"""More than this share of the clauses left out is said in the headline."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one scenario says of one clause, with the reason where that is neither PASS nor FAIL."""

    verdict: Verdict
    reason: str = ""
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class Ran:
    """One scenario: what it is, what was judged, its history and where that lies; `file` is its own, if not ours."""

    judged: Judged
    title: str
    clauses: tuple[str, ...]
    events: tuple[Event, ...] = ()
    history: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.judged.scenario

    @property
    def seconds(self) -> float:
        """How long it took, by its history."""
        return float(self.events[-1].at) if self.events else 0.0

    @property
    def verdict(self) -> Verdict:
        """One word for all of it."""
        if self.judged.violations:
            return Verdict.FAIL
        return Verdict.ERROR if self.judged.errors else Verdict.PASS

    def cells(self) -> dict[str, Cell]:
        """Return what it says of each clause that it exercises or that it saw broken."""
        judged = self.judged
        broken = dict.fromkeys(violation.clause for violation in judged.violations)
        return {clause: self._cell(clause) for clause in (*self.clauses, *(set(broken) - set(self.clauses)))}

    def _cell(self, clause: str) -> Cell:
        judged = self.judged
        violations = tuple(one for one in judged.violations if one.clause == clause)
        if violations:
            return Cell(Verdict.FAIL, violations=violations)
        if judged.errors:
            return Cell(Verdict.ERROR, "; ".join(judged.errors))
        if clause in judged.kept:
            return Cell(Verdict.PASS)
        if clause in judged.unknowable:
            return Cell(Verdict.INCONCLUSIVE, judged.unknowable[clause])
        return Cell(Verdict.NOT_EXERCISED, "the scenario ended before it came to this clause")


@dataclass(frozen=True, slots=True)
class Result:
    """A whole run of the kit.

    `profile` is core, hardened, or empty for a selection of scenarios; `asked` are the clauses that count.
    `limitations` is the store's card. `options` follow `cryo-harness run SCENARIO` to have it run again as it was here.
    `excluded` clauses and `skipped` scenarios come with the reason. `known` are the failures that were listed and came,
    by `CLAUSE/SCENARIO`, with the note of the list; `complaints` is what else speaks against the run, such as a listed
    failure that did not come.
    """

    target: str
    store: str
    asked: tuple[str, ...]
    scenarios: tuple[Ran, ...]
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
        """Return one verdict for each clause that counts; excluded ones are NOT EXERCISED."""
        found = verdicts((ran.judged for ran in self.scenarios), self.asked)
        broken = {clause for ran in self.scenarios if ran.judged.errors for clause in ran.clauses}
        for clause, verdict in found.items():
            if clause in self.excluded:
                found[clause] = Verdict.NOT_EXERCISED
            elif verdict is Verdict.NOT_EXERCISED and clause in broken:
                found[clause] = Verdict.ERROR
        return found

    def counts(self) -> dict[Verdict, int]:
        """Return how many clauses have each verdict."""
        counted = Counter(self.verdicts().values())
        return {verdict: counted[verdict] for verdict in Verdict}

    def is_known(self, ran: Ran, clause: str) -> bool:
        """Tell whether a clause's failure in a scenario is on the list."""
        return f"{clause}/{ran.name}" in self.known

    @property
    def verdict(self) -> Verdict:
        """One word for all of it: PASS only without any new failure, error or complaint."""
        new = [one for ran in self.scenarios for one in ran.judged.violations if not self.is_known(ran, one.clause)]
        if new or self.complaints:
            return Verdict.FAIL
        return Verdict.ERROR if any(ran.judged.errors for ran in self.scenarios) else Verdict.PASS

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        counts, asked = self.counts(), len(self.asked)
        if counts[Verdict.FAIL]:
            known = ", as was known" if self.verdict is not Verdict.FAIL else ""
            said = f"breaks {counts[Verdict.FAIL]} of {asked} clauses{known}"
        elif self._unasked():
            said = f"breaks {', '.join(self._unasked())}, which nobody asked about"
        elif self.complaints:
            said = f"is not as the list of known failures has it: {self.complaints[0]}"
        elif self.verdict is Verdict.ERROR:
            errors = sum(bool(ran.judged.errors) for ran in self.scenarios)
            said = f"could not be judged to the end: {errors} of {len(self.scenarios)} scenarios went wrong, "
            said += f"{counts[Verdict.PASS]} of {asked} clauses shown to be kept"
        elif counts[Verdict.PASS] == asked:
            said = f"keeps all {asked} clauses" if asked > 1 else "keeps the clause"
        else:
            said = f"breaks nothing; {counts[Verdict.PASS]} of {asked} clauses shown to be kept"
        left_out = sum(clause in self.excluded for clause in self.asked)
        if left_out > EXCLUDED_SHARE * asked:
            said += f"; {left_out} of {asked} left out"
        if self.skipped and not self.profile:
            said += f"; {len(self.skipped)} {'scenarios' if len(self.skipped) > 1 else 'scenario'} left out"
        return said

    def _unasked(self) -> tuple[str, ...]:
        """Return the clauses that are broken, known failures aside, though they do not count."""
        found = {
            one.clause for ran in self.scenarios for one in ran.judged.violations if not self.is_known(ran, one.clause)
        }
        return in_order(found - set(self.asked))

    def reason(self, clause: str) -> str:
        """Return why a clause is neither PASS nor FAIL; empty where it is one of them."""
        verdict = self.verdicts()[clause]
        if clause in self.excluded:
            return f"left out: {self.excluded[clause]}"
        cells = [cell for ran in self.scenarios if (cell := ran.cells().get(clause)) and cell.verdict is verdict]
        if verdict in {Verdict.PASS, Verdict.FAIL}:
            return ""
        return cells[0].reason if cells else "no scenario of this run is about it"

    def replay(self, ran: Ran) -> str:
        """Return the command that runs a scenario again."""
        return shlex.join(["cryo-harness", "run", ran.file or ran.name, *self.options])


def ran(events: Iterable[Event], *, history: str = "", file: str = "") -> Ran:
    """Judge a history and return it as one scenario of a report."""
    kept = tuple(events)
    scenario = begun(kept).scenario
    return Ran(judge(list(kept)), scenario["title"], tuple(scenario["clauses"]), kept, history, file)


def broken(scenario: Scenario, error: str, *, file: str = "") -> Ran:
    """Return a scenario of which the harness made no history."""
    return Ran(Judged(scenario.name, errors=(error,)), scenario.title, scenario.clauses, file=file)


def of_histories(scenarios: Iterable[Ran]) -> Result:
    """Return the report's value of saved histories alone; the clauses that count are those of their scenarios."""
    found = tuple(scenarios)
    firsts = [begun(one.events) for one in found if one.events]
    first = firsts[0] if firsts else None
    target, store = (first.target, first.store) if first else ("", "")
    stores = sorted({each.store for each in firsts} - {"directory"}) or [store]
    asked = {clause for one in found for clause in one.clauses}
    return Result(
        target=target,
        store=stores[0],
        asked=in_order(asked),
        scenarios=found,
        limitations=tuple(first.limitations) if first else (),
        options=("--target", target, "--store", stores[0]),
        seconds=sum(one.seconds for one in found),
    )


def in_order(clauses: Iterable[str]) -> tuple[str, ...]:
    """Return clauses in the contract's order."""
    wanted = set(clauses)
    return tuple(clause for clause in clause_ids() if clause in wanted)


def reasons(left_out: Mapping[str, str]) -> list[str]:
    """Return one line for each reason why scenarios did not run, with their names."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(reason, []).append(name)
    return [f"{', '.join(having)}: {reason}" for reason, having in names.items()]
