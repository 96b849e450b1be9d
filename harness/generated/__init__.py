"""Generated scenarios: composed from the values of dimensions, with the outcomes that the model allows.

A scenario can be composed again from its name: `generated-SEED-NUMBER`, or `generated-CLAUSE-SEED-NUMBER` if it is
about one clause.
"""

from __future__ import annotations

import re
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from harness.generated.compose import compose, dimensions
from harness.generated.cover import Cover, cover, random_row, triples
from harness.generated.draft import Value
from harness.generated.surroundings import Impossible

if TYPE_CHECKING:
    from harness.scenario import Scenario

__all__ = ["Cover", "Impossible", "Value", "by_name", "compose", "cover", "dimensions", "generate", "is_generated"]
__all__ += ["row_of", "row_of_name"]

ABOUT = {
    "PAY": ("payload", "delivery", "tasks"),
    "VER": ("payload", "range", "tasks"),
    "RNG": ("cryo", "range", "dataset", "level"),
    "LAY": ("stored", "range", "dataset", "level", "store"),
    "PUB": ("store", "delivery", "dispatcher", "tasks"),
    "MOD": ("endpoints", "level", "delivery"),
    "RPC": ("endpoints", "level", "cryo"),
    "STG": ("cryo", "tasks", "delivery"),
    "CAP": ("caps", "range", "dataset", "cryo"),
    "OUT": ("cryo", "store", "delivery", "tasks"),
    "LSE": ("dispatcher", "delivery", "cryo", "tasks"),
    "SEC": ("cryo", "endpoints", "store"),
}
"""The dimensions that a group of clauses is about; all triples of their values are covered."""
NAME = re.compile(r"generated-(?:([A-Z]{3}-[0-9]+)-)?([0-9]+)-([0-9]+)")


def generate(count: int, *, seed: int = 0, about: str = "") -> list[Scenario]:
    """Return `count` scenarios, the first of which cover all pairs together; `about` is the id of a clause.

    Raises:
        KeyError: the contract has no group of clauses with this prefix.
    """
    prefix = f"{about}-" if about else ""
    return [
        compose(row_of(number, seed=seed, about=about), name=f"generated-{prefix}{seed}-{number}")
        for number in range(count)
    ]


def is_generated(name: str) -> bool:
    """Return whether a name is meant as that of a generated scenario."""
    return name.startswith("generated-") and not name.endswith(".toml")


def by_name(name: str) -> Scenario | None:
    """Return the scenario of a name, None if no generated one can have it."""
    match = NAME.fullmatch(name)
    if match is None or (match[1] or "PAY")[:3] not in ABOUT:
        return None
    return compose(row_of_name(name), name=name)


def row_of_name(name: str) -> dict[str, str]:
    """Return the row of the scenario with a name.

    Raises:
        ValueError: no generated scenario can have the name.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is not the name of a generated scenario")
    return row_of(int(match[3]), seed=int(match[2]), about=match[1] or "")


def row_of(number: int, *, seed: int, about: str = "") -> dict[str, str]:
    """Return the row of the scenario with a number, from 0; after those that cover all pairs, rows are random."""
    rows = _shuffled(seed, about)
    return rows[number] if number < len(rows) else random_row(seed * 1_000_000 + number)


@cache
def _shuffled(seed: int, about: str) -> list[dict[str, str]]:
    rows = list(triples(ABOUT[about[:3]]) if about else cover().rows)
    Random(f"order {seed}").shuffle(rows)  # noqa: S311 - reproducible
    return rows
