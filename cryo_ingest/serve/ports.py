"""The service's own collaborators, as narrow Protocols, and the values that pass between them.

Implementations: `dispatcher.py` (HTTP) and `queue.py` (SQS). What an attempt itself is given is `cryo_ingest.ports`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from cryo_ingest.errors import OutcomeName
from cryo_ingest.model import Assignment, Publication

FENCED = 409
"""The dispatcher's word for a stale attempt, a stale lease, a cancelled task, a task that somebody else has."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a good claim or heartbeat gave: a lease of `term_seconds`, counted from `sent_at`.

    `sent_at` is our monotonic clock just before the request was sent; the term is `lease_expires_at` minus the answer's
    `Date`, so that no clock of ours is ever compared with one of the dispatcher's (LSE-3).
    """

    sent_at: float
    term_seconds: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed task: the attempt at it, its two tokens (secrets both), and the lease as first granted."""

    assignment: Assignment
    grant: Grant
    lease_token: str = field(repr=False)
    capability_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """The task is not to be had: running elsewhere, over, cancelled or unknown (LSE-1); `reason` is only for a log."""

    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """How an attempt ended: exactly one publication on success and none otherwise (PUB-1, PUB-3)."""

    outcome: OutcomeName
    publication: Publication | None = None
    error_message: str | None = None


class LeaseLost(Exception):
    """The lease is not held any more: nothing may be stored or reported under it (LSE-3, LSE-5).

    `fenced` tells that the dispatcher itself said so by a 409, after which the task's wake-up has done its work.
    """

    def __init__(self, reason: str, *, fenced: bool = False) -> None:
        self.fenced = fenced
        super().__init__(f"the lease is lost: {reason}")


class DispatcherUnavailable(Exception):
    """The dispatcher gave no answer, or none that can be used; asking again may help. Holds no URL and no token."""

    def __init__(self, operation: str, reason: str) -> None:
        self.operation, self.reason = operation, reason
        super().__init__(f"the dispatcher failed {operation}: {reason}")


class CompletionRefused(Exception):
    """The dispatcher called our completion malformed (400, or another 4xx that the contract has not): a bug of ours."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"the dispatcher refused the completion with status {status}")


class QueueUnavailable(Exception):
    """The queue did not do what it was asked; `reason` is its own short code."""

    def __init__(self, operation: str, reason: str) -> None:
        self.operation, self.reason = operation, reason
        super().__init__(f"the wake-up queue failed {operation}: {reason}")


class Dispatcher(Protocol):
    """The platform's side of a task. No call tries again by itself."""

    async def claim(self, task_id: str) -> Claim | NotClaimed:
        """Claim a task. Not idempotent: a claim whose answer is lost runs out by itself.

        Raises:
            DispatcherUnavailable: refused credentials, a fault of the dispatcher's, no answer, or none to be used.
        """
        ...

    async def heartbeat(self, claim: Claim, *, timeout_seconds: float) -> Grant:
        """Renew the lease, and return it as it is now.

        Raises:
            LeaseLost: 401, 403 or 409.
            DispatcherUnavailable: anything else; the lease is as it was.
        """
        ...

    async def complete(self, claim: Claim, report: Report, *, timeout_seconds: float) -> None:
        """Report the end of an attempt, the one call that publishes (PUB-5). The same report may be sent again.

        Raises:
            LeaseLost: 401, 403 or 409.
            CompletionRefused: 400 or another 4xx.
            DispatcherUnavailable: anything else; whether it took effect is unknown.
        """
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of a wake-up; `receipt` names this delivery, not the message."""

    body: str
    receipt: str = field(repr=False)


class WakeupQueue(Protocol):
    """Delivers wake-ups at least once, in any order. Every method may raise QueueUnavailable."""

    async def receive(self, *, wait_seconds: int) -> Message | None:
        """Wait for one message and hide it from others for a while; None where none came.

        When the call is cancelled, a message that arrives all the same is given back.
        """
        ...

    async def hide(self, message: Message, *, seconds: int) -> None:
        """Keep a delivered message from others for `seconds` from now; with 0 it can be had again at once."""
        ...

    async def acknowledge(self, message: Message) -> None:
        """Delete a delivered message for good."""
        ...
