"""A scenario in the making, to which the values of dimensions add their parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.contract import chunks
from harness.scenario import PAYLOAD

PATIENCE_SECONDS = 150.0
"""Level `receipts` asks for each block, and a generated scenario may do so in several attempts on a busy machine."""


@dataclass(slots=True)
class Draft:
    """The fields of a scenario and of its first task, and what follows that task.

    `after` gets the fields of the first task when they are complete, and returns those of the tasks after it.
    """

    fields: dict[str, Any] = field(default_factory=lambda: {"patience_seconds": PATIENCE_SECONDS})
    task: dict[str, Any] = field(default_factory=dict)
    after: Callable[[Mapping[str, Any]], list[dict[str, Any]]] = lambda _: []

    @property
    def payload(self) -> dict[str, Any]:
        """The payload of the first task so far."""
        changes: dict[str, Any] = self.task.get("set", {})
        return PAYLOAD | changes

    @property
    def parts(self) -> list[range]:
        """The chunks of the first task's range."""
        return chunks(self.payload["range_start"], self.payload["range_end"])

    def set(self, **values: Any) -> None:
        """Change fields of the payload."""
        self.task.setdefault("set", {}).update(values)

    def table(self, name: str, **values: Any) -> None:
        """Add to a table of the scenario, such as `environment`."""
        self.fields.setdefault(name, {}).update(values)

    def add(self, name: str, *items: dict[str, Any]) -> None:
        """Add to a list of the scenario, such as `store_faults`."""
        self.fields.setdefault(name, []).extend(items)

    def finished(self) -> dict[str, Any]:
        """Return the fields of the whole scenario."""
        return self.fields | {"tasks": [self.task, *self.after(self.task)]}


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a dimension; `apply` adds its part to a draft."""

    name: str
    apply: Callable[[Draft], None]

    def __str__(self) -> str:
        return self.name


def usual(_: Draft) -> None:
    """Change nothing."""
