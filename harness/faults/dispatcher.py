"""Faults of the dispatcher: which requests they match, and what happens to these requests."""

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
    """A fault of the dispatcher, for requests of a `kind`.

    `status` answers with `status`, `hang` sends no response, `reset` resets the connection. With `when` = after, the
    dispatcher executes the request first; with before, the request has no effect. `take-lease` ends the lease of the
    task, `cancel` cancels the task, `rotate-token` replaces the worker token, and `jump` moves the clock `seconds`
    ahead, before or after the dispatcher executes the request. `unknown-fields` adds fields to a successful response;
    `delay` sends the response `seconds` late. With `may_miss`, the scenario is valid even if the fault never applies.
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
