"""The interfaces that only the service uses, as narrow Protocols, and the values that they exchange.

Implementations: `dispatcher.py` (HTTP) and `queue.py` (SQS). The interfaces of an attempt are in `cryo_ingest.ports`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from cryo_ingest.errors import OutcomeName
from cryo_ingest.model import Assignment, Publication

FENCED = 409
"""The status for a stale attempt, a stale lease, a cancelled task, or a task elsewhere."""


@dataclass(frozen=True, slots=True)
class LeasePeriod:
    """How long the lease lasts after a claim or heartbeat: `duration_seconds`, counted from `sent_at`.

    `sent_at` is this machine's monotonic time just before the request was sent. The duration is `lease_expires_at`
    minus the response's `Date`, so that the clocks of machine and dispatcher are never compared (LSE-3).
    """

    sent_at: float
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed task: the attempt, the first lease, and the two tokens, which are secrets."""

    assignment: Assignment
    lease_period: LeasePeriod
    lease_token: str = field(repr=False)
    capability_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """The task can't be claimed: it is running elsewhere, finished, cancelled or unknown (LSE-1).

    `reason` is for the log.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """How an attempt ended: exactly one publication on success and none otherwise (PUB-1, PUB-3)."""

    outcome: OutcomeName
    publication: Publication | None = None
    error_message: str | None = None


class LeaseLost(Exception):
    """The lease is lost: nothing may be stored or reported under it (LSE-3, LSE-5).

    `fenced` is set if the dispatcher answered 409, because the task does not belong to this attempt any more. Then the
    task's wake-up can be acknowledged.
    """

    def __init__(self, reason: str, *, fenced: bool = False) -> None:
        self.fenced = fenced
        super().__init__(f"the lease is lost: {reason}")


class DispatcherUnavailable(Exception):
    """The dispatcher gave no usable response; a retry may succeed. Contains no URL and no token."""

    def __init__(self, operation: str, reason: str) -> None:
        self.operation, self.reason = operation, reason
        super().__init__(f"{operation} failed at the dispatcher: {reason}")


class CompletionRejected(Exception):
    """The dispatcher rejected the completion (400, or a 4xx outside the contract): a bug in the worker."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"the dispatcher rejected the completion with status {status}")


class QueueUnavailable(Exception):
    """A queue operation failed; `reason` is the queue's error code."""

    def __init__(self, operation: str, reason: str) -> None:
        self.operation, self.reason = operation, reason
        super().__init__(f"{operation} failed at the wake-up queue: {reason}")


class Dispatcher(Protocol):
    """The platform's dispatcher. No call retries."""

    async def claim(self, task_id: str) -> Claim | NotClaimed:
        """Claim a task. Not idempotent: a claim whose response is lost expires.

        Raises:
            DispatcherUnavailable: rejected credentials, an error of the dispatcher, or no usable response.
        """
        ...

    async def heartbeat(self, claim: Claim, *, timeout_seconds: float) -> LeasePeriod:
        """Renew the lease, and return its new period.

        Raises:
            LeaseLost: 401, 403 or 409.
            DispatcherUnavailable: anything else; the lease is unchanged.
        """
        ...

    async def complete(self, claim: Claim, report: Report, *, timeout_seconds: float) -> None:
        """Report the end of an attempt, the only call that publishes (PUB-5). The same report may be sent again.

        Raises:
            LeaseLost: 401, 403 or 409.
            CompletionRejected: 400 or another 4xx.
            DispatcherUnavailable: anything else; whether it took effect is unknown.
        """
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of a wake-up; `receipt` identifies the delivery, not the message."""

    body: str
    receipt: str = field(repr=False)


class WakeupQueue(Protocol):
    """Delivers wake-ups at least once, in any order. Every method may raise QueueUnavailable."""

    async def receive(self, *, wait_seconds: int) -> Message | None:
        """Wait for one message and make it invisible to other consumers for a while; None if there was none.

        If the call is cancelled, a message that still arrives is returned to the queue.
        """
        ...

    async def hide(self, message: Message, *, seconds: int) -> None:
        """Keep a delivered message invisible for `seconds` from now; with 0 it can be delivered again at once."""
        ...

    async def acknowledge(self, message: Message) -> None:
        """Delete a delivered message for good."""
        ...
