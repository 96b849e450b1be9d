"""Cells: one fault, or one signal to the worker, at one operation of an honest run; values only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from harness.scenario import Outcome, Scenario

LOST_LEASE = frozenset({"OUT-1"})
"""Clauses that no cell can show in which an attempt may lose its lease: such an attempt need not report."""
SIGNALLED = LOST_LEASE | {"LSE-4"}
"""As above, where a signal ends a worker and another one starts: LSE-4 allows no claim after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The `nth` request or event of one kind, such as the second PUT of the manifest (`put-manifest`)."""

    name: str
    nth: int

    def __str__(self) -> str:
        """Name the operation: `put-manifest.2`."""
        return f"{self.name}.{self.nth}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One generated scenario.

    `allowed` has for each task the outcomes that the contract allows; the first one is that of the scenario.
    """

    operation: Operation
    fault: str
    scenario: Scenario
    allowed: tuple[tuple[Outcome, ...], ...]

    @property
    def name(self) -> str:
        """The stable name: `put-manifest.2+503-after`."""
        return cell_name(self.operation, self.fault)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A cell that is not generated, with the reason."""

    name: str
    reason: str


def cell_name(operation: Operation, fault: str) -> str:
    """Return the name of a cell, which is also that of its scenario and of its file."""
    return f"{operation}+{fault}"


def breadth_first(cells: Iterable[Cell]) -> list[Cell]:
    """Order cells so that a budget covers each pair of an operation and a fault before a pair occurs twice.

    Among pairs that occur for the first time, the operations take turns.
    """
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    faults: dict[str, list[str]] = defaultdict(list)
    ranked: list[tuple[int, int, int, Cell]] = []
    for position, cell in enumerate(cells):
        known = faults[cell.operation.name]
        if cell.fault not in known:
            known.append(cell.fault)
        occurrence = pairs[cell.operation.name, cell.fault]
        pairs[cell.operation.name, cell.fault] += 1
        ranked.append((occurrence, known.index(cell.fault), position, cell))
    return [cell for *_, cell in sorted(ranked, key=lambda entry: entry[:3])]
