"""The verdict on a mutant, the survivors that are explained, and the score."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from mutation.mutant import Mutant

EXPLAINED = Path(__file__).with_name("explained.toml")
Status = Literal["killed", "survived", "explained", "invalid", "not judged"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant.

    `by` is `simulation` or `scenarios` if it was killed, and `run` the run that killed it. `reported` are the clauses
    that this run reported, empty if the checks named none. `touches` are clauses that the code around it names.
    `simulated` and `scenarios` count the runs that it went through. `reason` explains a survivor. An invalid mutant
    can't be imported.
    """

    name: str
    status: Status
    diff: str
    by: str = ""
    run: str = ""
    reported: tuple[str, ...] = ()
    problem: str = ""
    touches: tuple[str, ...] = ()
    simulated: int = 0
    scenarios: int = 0
    seconds: float = 0.0
    reason: str = ""

    @property
    def group(self) -> str:
        """The group of clauses that it counts for: the first one reported, else the first one touched."""
        clauses = self.reported if self.status == "killed" else self.touches
        return clauses[0].partition("-")[0] if clauses else ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why mutants may survive: those whose name matches, and whose diff contains a text."""

    name: str
    diff: str
    reason: str

    def fits(self, mutant_name: str, diff: str) -> bool:
        """Return whether it explains a mutant."""
        return fnmatchcase(mutant_name, self.name) and self.diff in diff


def explanations(path: Path = EXPLAINED) -> list[Explanation]:
    """Return the explained survivors."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["survivor"]
    return [Explanation(entry["name"], entry.get("diff", ""), entry["reason"]) for entry in entries]


def explained(mutant: Mutant, diff: str, known: Iterable[Explanation]) -> str:
    """Return why a mutant may survive, empty if nothing explains it."""
    return next((each.reason for each in known if each.fits(mutant.name, diff)), "")


def clauses_of(problems: Iterable[str]) -> tuple[str, ...]:
    """Return the clauses with which problems begin, each once."""
    found = (problem.partition(":")[0] for problem in problems)
    return tuple(dict.fromkeys(clause for clause in found if _is_clause(clause)))


def _is_clause(text: str) -> bool:
    group, _, number = text.partition("-")
    return group.isupper() and len(group) == 3 and number.isdigit()  # noqa: PLR2004 - such as LAY-10


@dataclass(frozen=True, slots=True)
class Score:
    """How many mutants were killed and survived; explained ones are not counted."""

    killed: int
    survived: int

    @property
    def percent(self) -> float:
        """The share of killed mutants."""
        return 100 * self.killed / max(1, self.killed + self.survived)


def scores(verdicts: Iterable[Verdict]) -> Mapping[str, Score]:
    """Return the score of each group of clauses, `` for those without one."""
    found: dict[str, list[int]] = {}
    for verdict in verdicts:
        if verdict.status in {"killed", "survived"}:
            found.setdefault(verdict.group, [0, 0])[verdict.status == "survived"] += 1
    return {group: Score(*counts) for group, counts in sorted(found.items())}
