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

    If it is not `certain`, the task may also end as if the finding were not there.
    """

    stage: Stage
    outcomes: Outcomes
    clause: str
    certain: bool = True


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
    clauses: list[str] = []
    cryo: bool | None = None
    for stage in Stage:
        found = [finding for finding in findings if finding.stage is stage]
        for finding in found:
            outcomes |= finding.outcomes
            clauses.append(finding.clause)
        if stage is Stage.BEFORE_CRYO and is_published:
            for finding in findings:
                outcomes |= finding.outcomes if finding.clause == "CAP-1" else frozenset()
            return Allowed(outcomes | SUCCESS, cryo=False, clauses=(*dict.fromkeys(clauses), "LAY-10"))
        if any(finding.certain for finding in found):
            cryo = cryo if stage > Stage.BEFORE_CRYO else False
            break
    else:
        outcomes |= SUCCESS
        cryo = None if findings else True
    return Allowed(outcomes, cryo, tuple(dict.fromkeys(clauses)))
