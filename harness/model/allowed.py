"""What the contract allows for one task, and findings from which it follows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import get_args

from harness.scenario import Outcome

Outcomes = frozenset[Outcome]

ALL: Outcomes = frozenset(get_args(Outcome)) - {"success_or_retry"}
"""Every way in which a task can end; `success_or_retry` is a name for two of them."""
SUCCESS: Outcomes = frozenset(("success",))
RETRYABLE: Outcomes = frozenset(("retryable_error",))
FATAL: Outcomes = frozenset(("fatal_error",))
BAD_CONFIGURATION: Outcomes = frozenset(("bad_configuration",))


class Stage(IntEnum):
    """Where in an attempt something comes to light. The contract orders what is before Cryo only as a whole."""

    CONFIGURATION = 0
    BEFORE_CRYO = 1
    CRYO = 2
    AFTER_CRYO = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a scenario that keeps a task from its success: how the task may end, and the clause that says so.

    If it is not `certain`, the task may also end as if the finding were not there. One that `meets_published` data may
    end the task of a version that is published already as well.
    """

    stage: Stage
    outcomes: Outcomes
    clause: str
    certain: bool = True
    meets_published: bool = False


@dataclass(frozen=True, slots=True)
class Allowed:
    """How a task may end, whether Cryo must run (None: either), and the clauses that decide it.

    With `ALL` outcomes, the model does not know.
    """

    outcomes: Outcomes
    cryo: bool | None
    clauses: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether the model rules any outcome out."""
        return self.outcomes != ALL

    @property
    def outcome(self) -> Outcome | None:
        """The outcome as a scenario has it; None if the scenario format has no name for what is allowed."""
        if len(self.outcomes) == 1:
            return next(iter(self.outcomes))
        return "success_or_retry" if self.outcomes == SUCCESS | RETRYABLE else None


def conclude(findings: list[Finding], *, is_published: bool) -> Allowed:
    """Return what is allowed for a task with these findings; `is_published` if its whole version is in the store.

    A published version may be reported before anything is looked at but the configuration and the payload (LAY-10).
    Whether it must keep to the caps as well is left open.
    """
    outcomes: Outcomes = frozenset()
    clauses: dict[str, None] = {}
    for stage in Stage:
        found = [finding for finding in findings if finding.stage is stage]
        outcomes = outcomes.union(*(finding.outcomes for finding in found))
        clauses |= dict.fromkeys(finding.clause for finding in found)
        if stage is Stage.BEFORE_CRYO and is_published:
            others = (finding.outcomes for finding in findings if finding.meets_published)
            return Allowed(outcomes.union(SUCCESS, *others), cryo=False, clauses=(*clauses, "LAY-10"))
        if any(finding.certain for finding in found):
            return Allowed(outcomes, False if stage <= Stage.BEFORE_CRYO else None, tuple(clauses))
    return Allowed(outcomes | SUCCESS, None if findings else True, tuple(clauses))
