"""The datasets of Cryo 0.3.2 as measured: columns with Arrow types in file order, sort, aliases, group, arguments.

They are read from `cryo_schemas.json` in the golden files; the harness never reads the worker's table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from harness.resources import fixtures


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset. `columns` are (name, Arrow type); `requires` are the arguments that Cryo needs besides the range."""

    name: str
    group: str | None
    aliases: tuple[str, ...]
    requires: tuple[str, ...]
    sort: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]


@cache
def datasets() -> dict[str, Dataset]:
    """Return all 36 datasets by canonical name."""
    path = fixtures() / "golden" / "cryo_schemas.json"
    facts = json.loads(path.read_text(encoding="utf-8"))["datasets"]
    return {
        name: Dataset(
            name=name,
            group=fact["group"],
            aliases=tuple(fact["aliases"]),
            requires=("js_tracer",) if name == "javascript_traces" else tuple(fact["required_params"]),
            sort=tuple(fact["default_sort"]),
            columns=tuple((column["name"], column["arrow"]) for column in fact["default_columns"]),
        )
        for name, fact in facts.items()
    }


def by_range_alone() -> tuple[str, ...]:
    """Return the 25 datasets for which a block range is the only argument."""
    return tuple(name for name, dataset in datasets().items() if not dataset.requires)
