"""How the service is doing: what the health port tells, and the last log event. Numbers and words only, no secrets."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryo_ingest.serve.shutdown import Shutdown


@dataclass(slots=True)
class Status:
    """The last word of each collaborator, None before its first, and counts since the start."""

    shutdown: Shutdown
    queue_ok: bool | None = None
    dispatcher_ok: bool | None = None
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
        return [reason for reason, holds in reasons.items() if holds]
