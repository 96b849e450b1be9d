"""What calls cost in a provider's credits: a table of credits per call and method, from a file.

There is no built-in table: prices change, and each provider has its own. Without a file each call costs one credit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.errors import BadJob
from cryo_ingest.sync.yaml_fields import DECIMAL, Fields, compose

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryo_ingest.sync.yaml_fields import Problem

MAX_BYTES = 64 * 1024
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Prices:
    """The credits of one call by method; `other` are those of the methods that are not in the table."""

    credits: Mapping[str, float] = field(default_factory=dict)
    other: float = 1.0

    def of(self, calls: Mapping[str, int]) -> float:
        """Return the credits of calls by method."""
        return sum(count * self.credits.get(method, self.other) for method, count in calls.items())


def read_prices(path: Path) -> Prices:
    """Read a table of prices, `method: credits` lines; `other` is for all other methods.

    Raises:
        BadJob: it can't be read, or has mistakes; the message names each with its line and field.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadJob(path.name, [f"can't be read: {error.strerror}"]) from None
    if len(content) > MAX_BYTES:
        raise BadJob(path.name, [f"is larger than {MAX_BYTES} bytes"])
    problems: list[Problem] = []
    fields = Fields.of(compose(content, path.name), "", problems)
    values = {}
    for name, node in fields.nodes.items():
        if node.id == "scalar" and node.style is None and DECIMAL.fullmatch(node.value):
            values[name] = float(node.value)
        else:
            fields.add_problem(name, "must be a number of credits, 0 or more")
    if problems:
        raise BadJob(path.name, [f"line {each.line}: {each.path}: {each.problem}" for each in sorted(set(problems))])
    return Prices(values, other=values.pop(OTHER, 1.0))
