"""When a scripted fault strikes: by method, block and count, never by chance; and the journal's record of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.faults import actions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.faults.actions import Action


HARNESS = "harness_"
"""What the methods begin with that are no node's: those between a pool and fake Cryo. Only a fault that names one
strikes it: a script lost by chance would change the whole scenario."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of a script: what happens to which calls.

    The calls that match `method` (None: any of a node's), `block` and `node` (None: any) are counted from 1 in the
    order of their arrival. From the `nth` on, each `every`th of them is spoilt, `times` of them (None for all).
    """

    method: str | None
    do: Action
    block: int | None = None
    node: str | None = None
    nth: int = 1
    every: int = 1
    times: int | None = None

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Fault:
        """Read `{"method": …, "block": …, "times": 1, "do": {"kind": "status", "code": 503}}`.

        Raises:
            ValueError: there is no such action.
        """
        return cls(**{"method": None} | fields | {"do": actions.from_json(fields["do"])})

    def matches(self, method: str, blocks: tuple[int, int] | None, node: str) -> bool:
        """Tell whether a call counts for this fault at all."""
        if self.method not in {None, method} or self.node not in {None, node}:
            return False
        if self.method is None and method.startswith(HARNESS):
            return False
        if not _changes(self.do, method, blocks):
            return False
        return self.block is None or (blocks is not None and blocks[0] <= self.block <= blocks[1])

    def matches_batch(self, methods: list[str], node: str) -> bool:
        """Tell whether a batch of calls counts for this fault."""
        if not isinstance(self.do, actions.BatchLimit) or self.node not in {None, node}:
            return False
        return len(methods) > self.do.calls and (self.method is None or self.method in methods)


def _changes(do: Action, method: str, blocks: tuple[int, int] | None) -> bool:
    """Tell whether an action makes any difference to a call."""
    match do:
        case actions.BatchLimit():
            return False
        case actions.Pruned(below):
            return method in _FROM_RECEIPTS and blocks is not None and blocks[0] < below
        case actions.Lagging(head):
            return method == "eth_blockNumber" or (blocks is not None and blocks[1] > head)
    return True


_FROM_RECEIPTS = frozenset(("eth_getLogs", "eth_getBlockReceipts", "eth_getTransactionReceipt"))
"""What a node answers from its receipts."""


class Call(NamedTuple):
    """One call in the journal, written down before it is answered.

    `at` is monotonic seconds, `blocks` the inclusive range of blocks that it is about where that can be said, `fault`
    the one that struck it.
    """

    number: int
    at: float
    node: str
    method: str
    params: Any
    blocks: tuple[int, int] | None
    fault: Fault | None


@dataclass(slots=True)
class Script:
    """The faults of a pool, how many calls each has counted and spoilt; used by the pool's thread alone."""

    faults: list[Fault] = field(default_factory=list)
    _seen: list[int] = field(default_factory=list)
    _fired: list[int] = field(default_factory=list)

    def extend(self, faults: Iterable[Fault]) -> None:
        """Add faults; their counts begin now."""
        self.faults = [*self.faults, *faults]

    def fire(self, method: str, blocks: tuple[int, int] | None, node: str) -> Fault | None:
        """Count a call for every fault that it matches, and return the first that spoils it."""
        return self._count(lambda fault: fault.matches(method, blocks, node))

    def fire_batch(self, methods: list[str], node: str) -> Fault | None:
        """Count a batch for every fault that it matches, and return the first that refuses it."""
        return self._count(lambda fault: fault.matches_batch(methods, node))

    def _count(self, matches: Callable[[Fault], bool]) -> Fault | None:
        new = len(self.faults) - len(self._seen)
        self._seen += [0] * new
        self._fired += [0] * new
        found = None
        for place, fault in enumerate(self.faults):
            if not matches(fault):
                continue
            self._seen[place] += 1
            seen, spent = self._seen[place], fault.times is not None and self._fired[place] >= fault.times
            if found is None and not spent and seen >= fault.nth and seen % fault.every == 0:
                self._fired[place] += 1
                found = fault
        return found
