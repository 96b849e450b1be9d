"""What may follow from one fault: the outcomes that the contract allows, and the clauses that cannot be judged."""

from __future__ import annotations

from dataclasses import dataclass

from harness.explore.cells import LOST_LEASE
from harness.scenario import Outcome


@dataclass(frozen=True, slots=True)
class Expectation:
    """The outcomes of a task in the end, and those of its first attempt where each attempt is a process of its own.

    The first outcome is the expected one. `dropped` are clauses that the fault makes impossible to show.
    `patience_seconds` is a longer time limit, for requests that are never answered.
    """

    outcomes: tuple[Outcome, ...] = ("success",)
    dropped: frozenset[str] = frozenset()
    patience_seconds: float = 0.0


LIVE = Expectation()
"""The task is published, in this attempt or in a later one."""
FATAL = Expectation(("success", "fatal_error"))
"""A fatal error is allowed too (OUT-4): denied access, no bucket, a store without conditional writes, a wrong chain."""
NEVER_ANSWERED = Expectation(patience_seconds=170.0)
"""A worker waits for a request to the store as long as an upload may take."""
LEASE_LOST = Expectation(dropped=LOST_LEASE)
"""Another attempt publishes the task when the lease has ended."""
CANCELLED = Expectation(("success", "nothing"), dropped=LOST_LEASE)
"""A cancelled task is not published, unless the completion came first."""
