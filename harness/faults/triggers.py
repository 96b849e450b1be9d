"""Triggers: actions of the runner when an event is recorded."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from harness.faults.occurrence import STRICT, Occurrence, Pattern

Action = Literal[
    "SIGKILL", "SIGTERM", "SIGSTOP", "SIGCONT",
    "take-lease", "cancel", "deny-heartbeat", "start-worker", "age-staging",
]  # fmt: skip
_SEARCHED = ("operation", "key", "method", "task_id", "text", "delivered_status", "status", "action")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Trigger(Occurrence):
    """An action of the runner at an event of the kind `event` whose key, operation or text matches `match`.

    A signal is sent to the worker with the number `worker`, from 0.
    """

    event: str
    match: Pattern = ""
    do: Action
    worker: Annotated[int, Field(ge=0)] = 0

    def matches(self, event: Any) -> bool:
        """Return whether an event of the history matches."""
        if event.kind != self.event:
            return False
        words = " ".join(str(getattr(event, name, "")) for name in _SEARCHED)
        return re.search(self.match, words) is not None

    def __str__(self) -> str:
        """Name the trigger in a history."""
        return f"at {self.event} {self.match} #{self.nth} {self.do}"
