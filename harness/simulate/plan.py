"""Operations of the doubles, and plans: which operations fail, and how."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal["refused", "unanswered", "slow", "crash-before", "crash-between", "crash-after"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""`refused`: no effect, and an error. `unanswered`: the effect, and no answer. `slow`: the effect after
`SLOW_SECONDS`. `crash-…`: the worker dies before the effect, after it without the answer, or after the answer."""

SLOW_SECONDS = 90.0
"""Longer than the lease of a simulated task."""

CRASHES: frozenset[Kind] = frozenset(("crash-before", "crash-between", "crash-after"))


@dataclass(frozen=True, slots=True, order=True)
class Operation:
    """One call of a double: its name, such as `store.create`, and its number among those of the name, from 1."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault of one operation; with `lasting`, also of all later operations of its name, for `LASTING_SECONDS`."""

    operation: Operation
    kind: Kind
    lasting: bool = False

    def matches(self, operation: Operation) -> bool:
        """Return whether the fault is for an operation."""
        same = operation.name == self.operation.name
        if self.lasting:
            return same and operation.number >= self.operation.number
        return same and operation.number == self.operation.number

    def __str__(self) -> str:
        return f"{self.operation} {self.kind}{' from then on' if self.lasting else ''}"


LASTING_SECONDS = 120.0
"""How long a lasting fault lasts, from its first operation; then everything works again."""


@dataclass(slots=True)
class Plan:
    """The faults of one run, and which of them have fired."""

    faults: tuple[PlannedFault, ...] = ()
    fired: set[PlannedFault] = field(default_factory=set)
    _since: dict[PlannedFault, float] = field(default_factory=dict)

    def fault_of(self, operation: Operation, now: float) -> PlannedFault | None:
        """Return the first fault that matches an operation, and count it as fired."""
        for fault in self.faults:
            if fault.matches(operation) and now - self._since.setdefault(fault, now) <= LASTING_SECONDS:
                if fault.kind in CRASHES and fault in self.fired:
                    continue
                self.fired.add(fault)
                return fault
        return None

    @property
    def unfired(self) -> list[PlannedFault]:
        """The faults whose operation never came."""
        return [fault for fault in self.faults if fault not in self.fired]


@dataclass(slots=True)
class Numbering:
    """Numbers the operations of each name."""

    _counts: Counter[str] = field(default_factory=Counter)

    def next(self, name: str) -> Operation:
        """Return the next operation of a name."""
        self._counts[name] += 1
        return Operation(name, self._counts[name])
