"""What Cryo 0.3.2 can extract: the pinned schema of each dataset, what it needs, and what a row of it means.

The facts are in `datasets.json`, derived from the measured `fixtures/golden/cryo_schemas.json` by
`scripts/derive_datasets.py`; a test holds the two together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from cryo_ingest.errors import BadPayload
from cryo_ingest.levels import Level


@dataclass(frozen=True, slots=True)
class Dataset:
    """One of Cryo's datasets.

    `columns` are (name, Arrow type) in file order; `requires` the arguments that it can't do without; `methods` the RPC
    methods it asks a node for, by block; `levels` those at which a node can confirm rows: headers show nothing of the
    state datasets, and receipts nothing more of blocks and traces.
    """

    name: str
    group: str | None
    aliases: tuple[str, ...]
    requires: tuple[str, ...]
    row_per_block: bool
    sort: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    methods: tuple[str, ...]
    levels: tuple[Level, ...]

    def attainable(self, asked: Level) -> Level:
        """Return the level at which the dataset can be proved, the one that is asked at most."""
        return asked if asked in self.levels else self.levels[-1]

    @property
    def traces_by_debug(self) -> bool:
        """Whether the node is asked by `debug_*`, which geth refuses for block 0."""
        return any(method.startswith("debug_") for method in self.methods)


@cache
def all_datasets() -> dict[str, Dataset]:
    """Return Cryo's 36 datasets by canonical name."""
    content = json.loads(resources.files("cryo_ingest").joinpath("datasets.json").read_text(encoding="utf-8"))
    return {
        name: Dataset(
            name=name,
            group=facts["group"],
            aliases=tuple(facts["aliases"]),
            requires=tuple(facts["requires"]),
            row_per_block=facts["row_per_block"],
            sort=tuple(facts["sort"]),
            columns=tuple((column, arrow_type) for column, arrow_type in facts["columns"]),
            methods=tuple(facts["methods"]),
            levels=tuple(facts["levels"]),
        )
        for name, facts in content["datasets"].items()
    }


def extractable(name: str) -> Dataset:
    """Return the dataset that a payload names, if a block range is all that it needs.

    Raises:
        BadPayload: Cryo has no such dataset, it needs arguments that a payload can't carry, or the name is an alias or
            a group, in which case the message gives the canonical names (PAY-4).
    """
    known = all_datasets()
    dataset = known.get(name)
    if dataset is not None and not dataset.requires:
        return dataset
    raise BadPayload({"cryo_dataset_name": _why_not(name, known)})


def _why_not(name: str, known: dict[str, Dataset]) -> str:
    if name in known:
        needed = ", ".join(known[name].requires)
        return f"the dataset {name} needs arguments that a payload can't carry ({needed})"
    for dataset in known.values():
        if name in dataset.aliases:
            return f"{name} is an alias: use the canonical name {dataset.name}"
    members = [dataset.name for dataset in known.values() if dataset.group == name]
    if members:
        return f"{name} is a group: use one of {', '.join(sorted(members))}"
    usable = ", ".join(sorted(dataset.name for dataset in known.values() if not dataset.requires))
    return f"Cryo 0.3.2 has no such dataset; those that a range alone can extract are {usable}"
