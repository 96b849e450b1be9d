"""Which runs reach a line: what a recorded run of the correct worker executed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Generic, TypeVar

from mutation.mutant import Mutant
from mutation.population import OURS, Module, modules_of

Name = TypeVar("Name")
Lines = Mapping[str, frozenset[int]]
"""Lines by module."""


@dataclass(frozen=True, slots=True)
class Recorded(Generic[Name]):
    """A run of the correct worker: its name or plan, how long it took, its clauses, and the lines that it executed.

    `problems` are what the checks reported; such a run judges no mutant.
    """

    name: Name
    seconds: float
    clauses: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    lines: Lines = field(default_factory=dict)


def reaching(mutant: Mutant, runs: Sequence[Recorded[Name]]) -> list[Recorded[Name]]:
    """Return the runs that execute a mutant's statement, in their order.

    A statement of a module's or a class's own body runs in every process. It counts as executed by the runs that
    execute a line which has the symbol that it defines, or any line of its module if no line has it.
    """
    wanted = {mutant.module: frozenset(range(mutant.lines[0], mutant.lines[1] + 1))}
    if mutant.symbol:
        used = _lines_with(mutant.symbol, mutant.module)
        found = [run for run in runs if not run.problems and _meets(run.lines, used)]
        return found or [run for run in runs if not run.problems and run.lines.get(mutant.module)]
    return [run for run in runs if not run.problems and _meets(run.lines, wanted)]


def _meets(lines: Lines, wanted: Lines) -> bool:
    return any(not lines.get(module, frozenset()).isdisjoint(numbers) for module, numbers in wanted.items())


@cache
def _lines_with(symbol: str, module: str) -> Lines:
    """Return the lines of a worker that have a symbol, without those that are executed at import, such as its own."""
    package = OURS if module.startswith(f"{OURS}.") else module.rpartition(".")[0]
    return {each.name: _lines_of(each, symbol) for each in modules_of(package)}


def _lines_of(module: Module, symbol: str) -> frozenset[int]:
    word = re.compile(rf"\b{re.escape(symbol)}\b")
    lines = module.source.splitlines()
    return frozenset(number for number, line in enumerate(lines, 1) if word.search(line) and number in module.inner)
