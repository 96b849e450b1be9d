"""Rows that cover all pairs of values, or all triples of some dimensions, and random rows after them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from random import Random

from allpairspy import AllPairs

from harness.generated.compose import compose, dimensions, spoils, usual_row
from harness.generated.surroundings import Impossible

Pair = tuple[tuple[str, str], tuple[str, str]]
"""Two values, each with its dimension."""


@dataclass(frozen=True, slots=True)
class Cover:
    """Rows, the pairs of values that they have together, and why other pairs are in no row."""

    rows: tuple[dict[str, str], ...]
    covered: frozenset[Pair]
    impossible: Mapping[Pair, str]


def pairs_of(row: Mapping[str, str]) -> Iterator[Pair]:
    """Yield the pairs of values of a row."""
    names = [name for name in dimensions() if name in row]
    for first, second in combinations(names, 2):
        yield (first, row[first]), (second, row[second])


@cache
def impossible_pairs() -> dict[Pair, str]:
    """Return why pairs of values are possible in no scenario.

    Two values that both keep a task from its success would hide each other.
    """
    found = {}
    spoiling = {(name, value) for name, values in dimensions().items() for value in values if spoils(name, value)}
    for first, second in combinations(dimensions(), 2):
        for one in dimensions()[first]:
            for other in dimensions()[second]:
                pair = (first, one), (second, other)
                if pair[0] in spoiling and pair[1] in spoiling:
                    found[pair] = "each keeps the task from its success"
                elif reason := _why_not({first: one, second: other}):
                    found[pair] = reason
    return found


@cache
def _order() -> dict[str, int]:
    return {name: number for number, name in enumerate(dimensions())}


def _pair(one: tuple[str, str], other: tuple[str, str]) -> Pair:
    """Return two values as a pair, in the order of their dimensions."""
    return (one, other) if _order()[one[0]] < _order()[other[0]] else (other, one)


def _why_not(row: dict[str, str]) -> str:
    """Return why a row can't be composed, empty if it can; a dispatcher's fault gets the service that it needs."""
    needs_service = row.get("dispatcher", "none") != "none" and "delivery" not in row
    try:
        compose(row | ({"delivery": "service"} if needs_service else {}))
    except Impossible as reason:
        return str(reason)
    return ""


@cache
def cover() -> Cover:
    """Return rows in which all possible pairs come together."""
    rows = [usual_row(), *_array(tuple(dimensions()), strength=2)]
    possible = [repaired for row in rows if (repaired := _repaired(row))]
    covered = {pair for row in possible for pair in pairs_of(row)}
    missing = dict.fromkeys(sorted(_all_pairs() - covered - impossible_pairs().keys()))
    hidden = {}
    while missing:
        pair = next(iter(missing))
        row = _repaired(_packed(pair, missing.keys()), keep=dict(pair))
        if row is None:
            hidden[pair] = "needs a third value that excludes one of them"
            del missing[pair]
            continue
        possible.append(row)
        for each in pairs_of(row):
            covered.add(each)
            missing.pop(each, None)
    unique = {tuple(row.items()): row for row in possible}
    # A third value can make a pair possible: what keeps a task from its success matters to no published version.
    impossible = {pair: reason for pair, reason in (impossible_pairs() | hidden).items() if pair not in covered}
    return Cover(tuple(unique.values()), frozenset(covered), impossible)


@cache
def triples(names: tuple[str, ...]) -> tuple[dict[str, str], ...]:
    """Return rows in which all triples of the values of some dimensions come together; the others are as usual."""
    usual = usual_row()
    rows = [usual, *(usual | row for row in _array(names, strength=3))]
    possible = [repaired for row in rows if (repaired := _repaired(row))]
    return tuple({tuple(row.items()): row for row in possible}.values())


def _packed(pair: Pair, missing: Collection[Pair]) -> dict[str, str]:
    """Return a row with a pair and as many other missing pairs as a greedy choice finds.

    The library ends when it can't complete a row under the constraints, and leaves the pairs of values that exclude
    most others.
    """
    row, usual, excluded = dict(pair), usual_row(), impossible_pairs()
    for name, values in dimensions().items():
        if name in row:
            continue
        best, most = usual[name], -1
        for value in values:
            pairs = [_pair((name, value), each) for each in row.items()]
            count = sum(each in missing for each in pairs)
            if count > most and not any(each in excluded for each in pairs):
                best, most = value, count
        row[name] = best
    return {name: row[name] for name in dimensions()}


def random_row(seed: int) -> dict[str, str]:
    """Return a random possible row."""
    random = Random(f"row {seed}")  # noqa: S311 - reproducible
    row = usual_row()
    for name in random.sample(list(row), k=random.randint(2, len(row))):
        changed = row | {name: random.choice(list(dimensions()[name]))}
        if not _conflicts(changed) and not _why_not(changed):
            row = changed
    return row


def _array(names: Sequence[str], *, strength: int) -> list[dict[str, str]]:
    """Return rows with all pairs or triples of values of some dimensions, in which no two values exclude each other."""
    excluded = impossible_pairs()
    # The generator covers large dimensions in fewer rows if they come first.
    largest_first = sorted(names, key=lambda name: -len(dimensions()[name]))

    def is_possible(values: Sequence[str]) -> bool:
        *others, last = zip(largest_first, values, strict=False)
        return not any(_pair(each, last) in excluded for each in others)

    random = Random("cover 0")  # noqa: S311 - reproducible
    parameters = [random.sample(list(dimensions()[name]), k=len(dimensions()[name])) for name in largest_first]
    rows = AllPairs(parameters, filter_func=is_possible, n=strength)
    return [dict(zip(largest_first, row, strict=True)) for row in rows]


def _conflicts(row: Mapping[str, str]) -> bool:
    return any(pair in impossible_pairs() for pair in pairs_of(row))


def _repaired(row: dict[str, str], *, keep: Mapping[str, str] | None = None) -> dict[str, str] | None:
    """Return a row that can be composed, with usual values in place of some; None if that is impossible.

    The values of `keep` stay.
    """
    usual, found = usual_row(), dict(row)
    if keep and keep.get("dispatcher", "none") != "none" and "delivery" not in keep:
        found["delivery"] = "service"
    changeable = [name for name in found if found[name] != usual[name] and name not in (keep or {})]
    while _why_not(found):
        if not changeable:
            return None
        name = changeable.pop()
        found[name] = usual[name]
    return found


def _all_pairs() -> set[Pair]:
    return {
        ((first, one), (second, other))
        for first, second in combinations(dimensions(), 2)
        for one in dimensions()[first]
        for other in dimensions()[second]
    }
