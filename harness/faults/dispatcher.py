"""Faults of the dispatcher: which requests they match, and what is done to them."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from harness.faults.occurrence import STRICT, Occurrence

Kind = Literal["claim", "heartbeat", "complete"]
Action = Literal[
    "status", "hang", "reset", "take-lease", "cancel", "rotate-token", "jump", "unknown-fields", "delay",
]  # fmt: skip
ACTIONS: tuple[Action, ...] = get_args(Action)


@dataclass(frozen=True, config=STRICT)
class DispatcherFault(Occurrence):
    """What is done to requests of a `kind`.

    `status` answers with `status`, `hang` never answers, `reset` resets the connection; the request has its effect
    first (`when` = after) or no effect (before). `take-lease`, `cancel`, `rotate-token` and `jump` change the
    dispatcher before or after the request's effect: they end the lease of its task, cancel its task, replace the worker
    token, move the clock `seconds` ahead. `unknown-fields` adds fields to a successful response; `delay` sends the
    response `seconds` late. A fault that `may_miss` does not have to apply.
    """

    kind: Kind
    do: Action
    when: Literal["before", "after"] = "before"
    status: Annotated[int, Field(ge=100, le=599)] = 503
    seconds: Annotated[float, Field(ge=-1e9, le=1e9)] = 0.0
    may_miss: bool = False

    def __str__(self) -> str:
        """Name the fault in a history."""
        return f"dispatcher {self.kind} {self.do} #{self.nth}"
