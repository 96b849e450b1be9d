"""Cryo 0.3.2's datasets as measured: columns and their Arrow types in file order, sort, aliases, groups, needs.

`datasets.json` is the harness's own copy of what `scripts/derive_datasets.py` derives from the goldens: the harness
never reads the worker's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset. `columns` are (name, Arrow type); `requires` are arguments that Cryo can't do without."""

    name: str
    group: str | None
    aliases: tuple[str, ...]
    requires: tuple[str, ...]
    sort: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]


@cache
def datasets() -> dict[str, Dataset]:
    """Return all 36 datasets by canonical name."""
    facts = json.loads(Path(__file__).with_name("datasets.json").read_text(encoding="utf-8"))["datasets"]
    return {
        name: Dataset(
            name=name,
            group=fact["group"],
            aliases=tuple(fact["aliases"]),
            requires=tuple(fact["requires"]),
            sort=tuple(fact["sort"]),
            columns=tuple((column, kind) for column, kind in fact["columns"]),
        )
        for name, fact in facts.items()
    }


def by_range_alone() -> tuple[str, ...]:
    """Return the 25 datasets that need nothing but a block range."""
    return tuple(name for name, dataset in datasets().items() if not dataset.requires)
