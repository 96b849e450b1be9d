"""Operations of the doubles, and plans: which operations fail and how, and which worker runs when."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal[
    "refused",
    "unanswered",
    "cut-off",
    "slow",
    "crash-before",
    "crash-between",
    "crash-after",
    "power-loss",
    "stopped",
    "terminated",
    "lease-taken",
    "overtaken",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What a fault does to its operation; docs/simulation.md explains each."""

LONG_SECONDS = 90.0
"""How long a slow request is on its way, and how long a stopped worker does not run: longer than the lease."""

CRASHES: frozenset[Kind] = frozenset(("crash-before", "crash-between", "crash-after", "power-loss"))
"""The worker dies."""

ASIDE: frozenset[Kind] = frozenset(("stopped", "terminated", "lease-taken", "overtaken"))
"""Something happens to the worker, its lease or its version while the operation itself is left alone; these never last.
"""


def kinds_of(name: str) -> tuple[Kind, ...]:
    """Return the kinds of faults that an operation can have, by its name.

    Only what asks the store can be overtaken there. An operation of the worker's own disk fails or does not: it is no
    request, and the requests around it have the crashes.
    """
    if name.startswith(DISK):
        return ("refused",)
    return KINDS if name.startswith("store.") else tuple(kind for kind in KINDS if kind != "overtaken")


DISK = "disk."
"""The first part of the names of operations of the worker's own disk."""

PAIRED: tuple[Kind, ...] = (
    "refused",
    "unanswered",
    "slow",
    "crash-before",
    "crash-between",
    "lease-taken",
)
"""The kinds of pairs. Most of the others differ from one of these only in what follows at once: `cut-off` from
`unanswered` by the time that the worker waits, `crash-after` from `crash-before` at the next operation, `power-loss`
from a crash by files that the next attempt must not read, `stopped` from `slow` and `lease-taken`. `terminated` ends
the attempt in an orderly way, and `overtaken` matters only where the worker is about to write. Random plans have all
kinds."""


READS = ("store.list", "store.read", "node.", "queue.receive")
"""Operations that change nothing, or, for `queue.receive`, something that comes back by itself."""

WITHOUT_EFFECT: frozenset[Kind] = frozenset(("unanswered", "crash-between"))
"""Kinds that differ from `slow` and `crash-before` only by the effect, which a read does not have."""


def paired_kinds(name: str) -> tuple[Kind, ...]:
    """Return the kinds of faults of an operation that pairs have, by its name."""
    left_out = WITHOUT_EFFECT if name.startswith(READS) else frozenset[Kind]()
    return tuple(kind for kind in kinds_of(name) if kind in PAIRED and kind not in left_out)


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


@dataclass(frozen=True, slots=True)
class Switch:
    """Which worker runs alone, and for how many operations; then the next switch applies, or all workers run.

    `worker` is the number of a worker, from 1. Only operations of attempts are counted, not those of its queue. With
    `takes_leases`, all leases are taken at the end of the turn.
    """

    worker: int
    operations: int
    takes_leases: bool = False

    def __str__(self) -> str:
        then = ", then its lease is taken" if self.takes_leases else ""
        return f"worker {self.worker} alone for {self.operations} operations{then}"


Step = PlannedFault | Switch
"""One part of a plan."""

LASTING_SECONDS = 120.0
"""How long a lasting fault lasts, from its first operation; then everything works again."""


@dataclass(slots=True)
class Plan:
    """The faults of one run, and which of them have fired; the switches, and how many of them have applied."""

    steps: tuple[Step, ...] = ()
    fired: set[PlannedFault] = field(default_factory=set)
    switched: int = 0
    _since: dict[PlannedFault, float] = field(default_factory=dict)

    @property
    def faults(self) -> list[PlannedFault]:
        """The faults, in the order of the plan."""
        return [step for step in self.steps if isinstance(step, PlannedFault)]

    @property
    def switches(self) -> list[Switch]:
        """The switches, in the order in which they apply."""
        return [step for step in self.steps if isinstance(step, Switch)]

    def fault_of(self, operation: Operation, now: float) -> PlannedFault | None:
        """Return the first fault that matches an operation, and count it as fired."""
        for fault in self.faults:
            if fault.matches(operation) and now - self._since.setdefault(fault, now) <= LASTING_SECONDS:
                if fault.kind in CRASHES | ASIDE and fault in self.fired:
                    continue
                self.fired.add(fault)
                return fault
        return None

    @property
    def unfired(self) -> list[Step]:
        """The faults whose operation never came, and the switches that never applied."""
        return [fault for fault in self.faults if fault not in self.fired] + self.switches[self.switched :]


@dataclass(slots=True)
class Numbering:
    """Numbers the operations of each name."""

    _counts: Counter[str] = field(default_factory=Counter)

    def next(self, name: str) -> Operation:
        """Return the next operation of a name."""
        self._counts[name] += 1
        return Operation(name, self._counts[name])
