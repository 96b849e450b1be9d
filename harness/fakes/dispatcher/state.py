"""A task as the dispatcher knows it: where it stands, which attempt holds its lease, what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class TaskStatus(StrEnum):
    """Where a task stands; from `COMPLETED`, `FAILED` and `CANCELED` it never moves again."""

    QUEUED = "queued"
    WAITING = "waiting"  # an attempt ended retryable: it is queued again when its backoff is over
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Report:
    """How one attempt was reported: its outcome, the error's text, and the publication where there is one."""

    attempt: int
    outcome: str
    error_message: str | None
    publication: Mapping[str, Any] | None


@dataclass(slots=True)
class TaskState:
    """One task: `expires_at` and `due_at` in the dispatcher's seconds, reports' bodies by attempt, secret tokens."""

    task_id: str
    payload: Mapping[str, Any]
    status: TaskStatus = TaskStatus.QUEUED
    attempt: int = 0
    lease_token: str = field(default="", repr=False)
    capability_token: str = field(default="", repr=False)
    expires_at: float = 0.0
    due_at: float = 0.0
    reports: list[Report] = field(default_factory=list)
    expired_leases: int = 0
    completion: dict[int, str] = field(default_factory=dict, repr=False)

    @property
    def outcome(self) -> str | None:
        """How the last attempt that was reported ended."""
        return self.reports[-1].outcome if self.reports else None

    @property
    def error_message(self) -> str | None:
        """The last reported error's text."""
        return self.reports[-1].error_message if self.reports else None

    @property
    def publication(self) -> Mapping[str, Any] | None:
        """What was published for the task."""
        return self.reports[-1].publication if self.reports else None

    @property
    def ended(self) -> bool:
        """Whether nothing will ever happen to it any more."""
        return self.status in {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELED}

    @property
    def why_not(self) -> str | None:
        """Why it can't be claimed, in the contract's words, or None where it can."""
        if self.status is TaskStatus.QUEUED:
            return None
        if self.status in {TaskStatus.RUNNING, TaskStatus.WAITING}:
            return "AlreadyRunning"
        return "Canceled" if self.status is TaskStatus.CANCELED else "Completed"

    def as_json(self) -> dict[str, Any]:
        """Return what may be shown of it: no token."""
        return {
            "task_id": self.task_id,
            "status": self.status.value,
            "attempt": self.attempt,
            "outcome": self.outcome,
            "error_message": self.error_message,
            "publication": self.publication,
            "expired_leases": self.expired_leases,
        }
