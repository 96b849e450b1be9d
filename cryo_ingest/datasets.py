"""The datasets of Cryo 0.3.2: schema, required arguments, RPC methods, levels of proof.

The data are in `datasets.json`, derived from the measured `fixtures/golden/cryo_schemas.json` by
`scripts/derive_datasets.py`; a test compares the two.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources

from cryo_ingest.errors import BadPayload
from cryo_ingest.levels import Level


@dataclass(frozen=True, slots=True)
class Dataset:
    """One of Cryo's datasets.

    `columns` are (name, Arrow type) in file order; `requires` are required arguments; `methods` the RPC methods that
    Cryo calls for each block; `levels` those at which a node can confirm rows: headers have no evidence for the state
    datasets, and receipts have no more than headers for blocks and traces.
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

    def attainable(self, level: Level) -> Level:
        """Return the highest level at which the dataset can be proved, at most `level`."""
        return level if level in self.levels else self.levels[-1]

    @property
    def traces_by_debug(self) -> bool:
        """Whether Cryo calls `debug_*` methods, which geth rejects for block 0."""
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


def find_dataset(name: str) -> Dataset:
    """Return the dataset that a payload names, if it can be extracted with a block range alone.

    Raises:
        BadPayload: Cryo has no such dataset, it needs arguments that a payload can't have, or the name is an alias or a
            group, in which case the message gives the canonical names (PAY-4).
    """
    known = all_datasets()
    dataset = known.get(name)
    if dataset is not None and not dataset.requires:
        return dataset
    raise BadPayload({"cryo_dataset_name": _problem(name, known)})


def _problem(name: str, known: dict[str, Dataset]) -> str:
    if name in known:
        needed = ", ".join(known[name].requires)
        return f"the dataset {name} needs arguments that a payload can't have ({needed})"
    for dataset in known.values():
        if name in dataset.aliases:
            return f"{name} is an alias: use the canonical name {dataset.name}"
    members = [dataset.name for dataset in known.values() if dataset.group == name]
    if members:
        return f"{name} is a group: use one of {', '.join(sorted(members))}"
    usable = sorted(dataset.name for dataset in known.values() if not dataset.requires)
    similar = get_close_matches(name, usable, n=1)
    hint = f": did you mean {similar[0]}?" if similar else "."
    return f"Cryo 0.3.2 has no dataset {name}{hint} It has {', '.join(usable)}"
