"""How the service is doing: what the health port tells, and the last log event. Numbers and words only, no secrets."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.attempt import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryo_ingest.attempt import Outcome
    from cryo_ingest.serve.shutdown import Shutdown


@dataclass(slots=True)
class Status:
    """The last word of each collaborator, None before its first, and counts since the start."""

    shutdown: Shutdown
    queue_ok: bool | None = None
    dispatcher_ok: bool | None = None
    machine_problem: str | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def count(self, what: str) -> None:
        """Count one more."""
        self.counts[what] += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count an attempt, as running while the block lasts."""
        self.counts["attempts"] += 1
        self.counts["running"] += 1
        try:
            yield
        finally:
            self.counts["running"] -= 1

    def not_ready(self) -> list[str]:
        """Say why no task would be taken just now; empty when ready (LSE-5).

        The dispatcher is trusted before its first answer: until a wake-up comes there is nothing to ask it.
        """
        reasons = {
            "draining": self.shutdown.draining,
            "the queue has not answered yet": self.queue_ok is None,
            "the queue does not answer": self.queue_ok is False,
            "the dispatcher does not let tasks be claimed": self.dispatcher_ok is False,
        }
        problem = [self.machine_problem] if self.machine_problem is not None else []
        return [reason for reason, holds in reasons.items() if holds] + problem

    def note(self, outcome: Outcome) -> None:
        """Remember whether the last attempt ended by something that hits every attempt on this machine."""
        error = outcome.error if isinstance(outcome, Failure) else None
        hits_all = error is not None and error.hits_every_attempt
        self.machine_problem = f"the last attempt ended as {type(error).__name__}" if hits_all else None
