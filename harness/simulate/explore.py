"""Which plans a campaign goes through: every fault of every operation, pairs of faults, interleavings, random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.plan import ASIDE, CRASHES, Operation, PlannedFault, Step, Switch, kinds_of, paired_kinds
from harness.simulate.run import simulate
from harness.simulate.schedule import is_counted
from harness.simulate.world import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from random import Random

    from harness.scenario import Scenario
    from harness.simulate.bench import Target
    from harness.simulate.run import Run

Steps = tuple[Step, ...]

ONCE = CRASHES | ASIDE
"""Kinds that never last."""
MAX_RANDOM_FAULTS = 4
LASTING_SHARE = 0.25
LARGEST_NUMBER = 12
"""Random faults are for the first operations of a name: later ones come only in a recovery."""
MANY = 1000
"""More operations than any attempt has."""


def single_faults(operations: Iterable[Operation]) -> Iterator[Steps]:
    """Yield each operation with each fault, once, and from then on where it can last."""
    for operation in operations:
        for kind in kinds_of(operation.name):
            yield (PlannedFault(operation, kind),)
            if kind not in ONCE:
                yield (PlannedFault(operation, kind, lasting=True),)


def first_faults(operations: Iterable[Operation]) -> list[PlannedFault]:
    """Return the first faults of all pairs."""
    return [PlannedFault(operation, kind) for operation in operations for kind in paired_kinds(operation.name)]


def pairs_after(scenario: Scenario, target: Target, first: PlannedFault, *, seed: int) -> Iterator[Steps]:
    """Yield a fault together with each fault of each operation that comes after it, in the recovery from it as well."""
    after = simulate(scenario, target, plan=(first,), seed=seed).operations
    later = after[after.index(first.operation) + 1 :] if first.operation in after else ()
    for second in later:
        for kind in paired_kinds(second.name):
            yield (first, PlannedFault(second, kind))


def interleavings(scenario: Scenario, target: Target, until: int, *, seed: int) -> Iterator[Steps]:
    """Yield the interleavings of two workers in which the first one runs alone until its `until`-th operation.

    Then its lease is taken, without its knowledge, and the second worker runs alone for each possible number of
    operations, then the first one again, for each possible number, then both. The later turns end only before a worker
    changes something: what it reads just before is what it acts on, and ending between two reads is left to the first
    turn.
    """
    start = Switch(1, until, takes_leases=True)
    for second in _turns(simulate(scenario, target, plan=(start, Switch(2, MANY)), seed=seed), 2, _changes):
        switches = (start, Switch(2, second))
        following = simulate(scenario, target, plan=(*switches, Switch(1, MANY)), seed=seed)
        for third in _turns(following, 1, _changes, after=until):
            yield (*switches, Switch(1, third), Switch(2, MANY))


def turns_of_first_worker(run: Run) -> list[int]:
    """Return after how many operations the first turn of `interleavings` can end: before any that others can notice."""
    return _turns(run, 1, _is_shared)


def _turns(run: Run, worker: int, is_end: Callable[[str], bool], *, after: int = 0) -> list[int]:
    """Return after how many operations of a worker a turn can end: where the next one is such an end, or is none."""
    sent = [operation.name for number, operation in zip(run.senders, run.operations, strict=True) if number == worker]
    names = [name for name in sent if is_counted(name)][after:]
    return [count for count, name in enumerate(names) if is_end(name)] + [len(names)]


def _is_shared(name: str) -> bool:
    return name.startswith(("store.", "dispatcher."))


def _changes(name: str) -> bool:
    return _is_shared(name) and name not in {"store.list", "store.read"}


def random_plan(operations: Sequence[Operation], seed: int) -> Steps:
    """Return up to `MAX_RANDOM_FAULTS` faults at random operations; one plan in four has none."""
    random: Random = stream(seed, "plan")
    names = sorted({operation.name for operation in operations})
    count = random.randrange(MAX_RANDOM_FAULTS * 2) // 2
    return tuple(_random_fault(random, names) for _ in range(count))


def _random_fault(random: Random, names: list[str]) -> PlannedFault:
    operation = Operation(random.choice(names), random.randint(1, LARGEST_NUMBER))
    kind = random.choice(kinds_of(operation.name))
    return PlannedFault(operation, kind, lasting=kind not in ONCE and random.random() < LASTING_SHARE)
