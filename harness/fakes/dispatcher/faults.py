"""What a script can do to the dispatcher's requests: by kind and count, never by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["claim", "heartbeat", "complete"]
Action = Literal[
    "status", "hang", "reset", "take-lease", "cancel", "rotate-token", "jump", "unknown-fields", "delay",
]  # fmt: skip
ACTIONS: tuple[Action, ...] = (
    "status", "hang", "reset", "take-lease", "cancel", "rotate-token", "jump", "unknown-fields", "delay",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DispatcherFault:
    """One line of a script: what happens to the `nth` request of a kind, and to the `times - 1` that follow it.

    `status` answers with `status`, `hang` never answers, `reset` breaks the connection; with `when` the request has
    its effect first (`after`) or none at all (`before`). The others change the world before the request is looked at:
    its task's lease is taken away, its task canceled, the worker token replaced, the clock put `seconds` ahead. An
    answer with unknown fields is a good one with more in it; a delayed one is given `seconds` after the effect. `times`
    None means for ever.
    """

    kind: Kind
    do: Action
    nth: int = 1
    times: int | None = 1
    when: Literal["before", "after"] = "before"
    status: int = 503
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what could never strike.

        Raises:
            ValueError: an unknown kind or fault, or a count below 1.
        """
        if self.kind not in {"claim", "heartbeat", "complete"} or self.do not in ACTIONS:
            raise ValueError(f"no such fault: {self.kind} {self.do}; there are {', '.join(ACTIONS)}")
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError(f"nth and times of the fault on {self.kind} are counted from 1")


class Script:
    """The faults of a dispatcher and how many requests each has counted."""

    def __init__(self, faults: list[DispatcherFault]) -> None:
        self._faults = faults
        self._seen = [0] * len(faults)
        self._fired = [0] * len(faults)

    def extend(self, faults: list[DispatcherFault]) -> None:
        """Add faults; their counts begin now."""
        self._faults = [*self._faults, *faults]
        self._seen += [0] * len(faults)
        self._fired += [0] * len(faults)

    def fire(self, kind: str | None) -> list[DispatcherFault]:
        """Count a request and return what strikes it, in the order of the script."""
        found = []
        for place, fault in enumerate(self._faults):
            if fault.kind != kind:
                continue
            self._seen[place] += 1
            behind = self._seen[place] - fault.nth
            if behind >= 0 and (fault.times is None or behind < fault.times):
                self._fired[place] += 1
                found.append(fault)
        return found

    @property
    def unfired(self) -> list[DispatcherFault]:
        """The faults that have not struck yet."""
        return [fault for fault, fired in zip(self._faults, self._fired, strict=True) if not fired]
