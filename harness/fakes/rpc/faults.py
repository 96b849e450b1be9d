"""Faults by script, never by chance: which calls are spoiled, and how. Each that fires is in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

FaultKind = Literal["status", "hang", "error"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Spoils the calls of one method that match, counted from 1 in the order of their arrival.

    `block` narrows it to calls about one block, `every` to each so-manieth match, `times` to the first so many of
    those. `status` is an HTTP status for the kind `status`, a JSON-RPC error code for `error`; `hang` never answers.
    """

    method: str
    kind: FaultKind
    status: int = 0
    message: str = "fault by script"
    block: int | None = None
    every: int = 1
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the journal keeps it; `fault` is the one that fired on it, if any."""

    method: str
    params: Sequence[Any]
    fault: Fault | None


class FaultScript:
    """Counts matching calls and tells which fault fires; its state is all in the counts."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._faults = tuple(faults)
        self._seen = [0] * len(self._faults)
        self._fired = [0] * len(self._faults)

    def firing(self, method: str, params: Sequence[Any]) -> Fault | None:
        """Return the first fault that this call sets off."""
        for place, fault in enumerate(self._faults):
            if fault.method != method or not _is_about(fault.block, params):
                continue
            self._seen[place] += 1
            spent = fault.times is not None and self._fired[place] >= fault.times
            if self._seen[place] % fault.every == 0 and not spent:
                self._fired[place] += 1
                return fault
        return None


def _is_about(block: int | None, params: Sequence[Any]) -> bool:
    if block is None:
        return True
    first = params[0] if params else None
    tag = first.get("fromBlock") if isinstance(first, dict) else first
    return tag == hex(block)
