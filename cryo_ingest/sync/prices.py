"""What calls cost in a provider's credits: a table of credits per call and method, from a file.

No table is built in, since each provider has its own prices and changes them. Without a file, each call costs one
credit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.sync.yaml_fields import DECIMAL, parse_file, read_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryo_ingest.sync.yaml_fields import Fields

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
    return parse_file(read_file(path, max_bytes=MAX_BYTES), path.name, max_bytes=MAX_BYTES, read=_prices)


def _prices(fields: Fields) -> Prices:
    values = {}
    for name, node in fields.nodes.items():
        if node.id == "scalar" and node.style is None and DECIMAL.fullmatch(node.value):
            values[name] = float(node.value)
        else:
            fields.add_problem(name, "must be a number of credits, 0 or more")
    return Prices(values, other=values.pop(OTHER, 1.0))
