"""The state of a task at the dispatcher: its status, the attempt that has its lease, its reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class TaskStatus(StrEnum):
    """The status of a task; `COMPLETED`, `FAILED` and `CANCELED` are final."""

    QUEUED = "queued"
    WAITING = "waiting"  # an attempt ended with a retryable error; queued again after the backoff
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one attempt: outcome, error message, and the publication, if any."""

    attempt: int
    outcome: str
    error_message: str | None
    publication: Mapping[str, Any] | None


@dataclass(slots=True)
class TaskState:
    """One task; `expires_at` and `retry_at` are times of the dispatcher's clock; `completion` has bodies by attempt."""

    task_id: str
    payload: Mapping[str, Any]
    status: TaskStatus = TaskStatus.QUEUED
    attempt: int = 0
    lease_token: str = field(default="", repr=False)
    capability_token: str = field(default="", repr=False)
    expires_at: float = 0.0
    retry_at: float = 0.0
    reports: list[Report] = field(default_factory=list)
    expired_leases: int = 0
    completion: dict[int, str] = field(default_factory=dict, repr=False)

    @property
    def outcome(self) -> str | None:
        """The outcome of the last reported attempt."""
        return self.reports[-1].outcome if self.reports else None

    @property
    def error_message(self) -> str | None:
        """The error message of the last reported attempt."""
        return self.reports[-1].error_message if self.reports else None

    @property
    def publication(self) -> Mapping[str, Any] | None:
        """The publication of the last reported attempt."""
        return self.reports[-1].publication if self.reports else None

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELED}

    @property
    def not_claimed_reason(self) -> str | None:
        """The contract's reason why the task can't be claimed, or None if it can."""
        if self.status is TaskStatus.QUEUED:
            return None
        if self.status in {TaskStatus.RUNNING, TaskStatus.WAITING}:
            return "AlreadyRunning"
        return "Canceled" if self.status is TaskStatus.CANCELED else "Completed"

    def as_json(self) -> dict[str, Any]:
        """Return the fields that may be shown, without tokens."""
        return {
            "task_id": self.task_id,
            "status": self.status.value,
            "attempt": self.attempt,
            "outcome": self.outcome,
            "error_message": self.error_message,
            "publication": self.publication,
            "expired_leases": self.expired_leases,
        }
