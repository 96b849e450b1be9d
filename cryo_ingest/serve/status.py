"""The state of the service, for the health port and the last log event; contains no secrets."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.attempt import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryo_ingest.attempt import Outcome, Success
    from cryo_ingest.serve.shutdown import Shutdown


@dataclass(slots=True)
class Status:
    """Whether each collaborator answered last time, None before the first time, and counts since the start."""

    shutdown: Shutdown
    queue_ok: bool | None = None
    dispatcher_ok: bool | None = None
    machine_problem: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    blocks: int = 0
    rows: int = 0

    def count(self, what: str) -> None:
        """Increment a count."""
        self.counts[what] += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count an attempt, and count it as running until the block ends."""
        self.counts["attempts"] += 1
        self.counts["running"] += 1
        try:
            yield
        finally:
            self.counts["running"] -= 1

    def reasons_not_ready(self) -> list[str]:
        """Return why no task would be accepted now; empty if ready (LSE-5).

        Before the first claim the dispatcher is assumed to be ready: without a wake-up there is no request to send.
        """
        reasons = {
            "draining": self.shutdown.draining,
            "the queue has not answered yet": self.queue_ok is None,
            "the queue does not answer": self.queue_ok is False,
            "the dispatcher rejects claims": self.dispatcher_ok is False,
        }
        problem = [self.machine_problem] if self.machine_problem is not None else []
        return [reason for reason, holds in reasons.items() if holds] + problem

    def record_published(self, success: Success) -> None:
        """Count a version whose publication was accepted, if this attempt has written its files."""
        if success.written is not None:
            self.versions[success.written.evidence] += 1
            self.blocks += success.publication.range_end - success.publication.range_start
            self.rows += success.written.rows

    def record_outcome(self, outcome: Outcome) -> None:
        """Count the outcome, and record whether it is an error that every attempt on this machine has."""
        self.outcomes[outcome.outcome] += 1
        error = outcome.error if isinstance(outcome, Failure) else None
        hits_all = error is not None and error.hits_every_attempt
        self.machine_problem = f"the last attempt ended as {type(error).__name__}" if hits_all else None
