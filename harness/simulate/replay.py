"""Saved runs: the scenario, the seed and the faults, from which the same history arises again."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from harness.scenario import find
from harness.simulate.plan import KINDS, Kind, Operation, PlannedFault

if TYPE_CHECKING:
    from pathlib import Path

    from harness.scenario import Scenario
    from harness.simulate.bench import Target


class BadReplay(Exception):
    """A file or a target can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a run is made of; `target` is `MODULE:FUNCTION`."""

    target: str
    scenario: str
    seed: int
    plan: tuple[PlannedFault, ...]

    def save(self, path: Path) -> None:
        """Write a JSON file."""
        faults = [
            {"operation": fault.operation.name, "number": fault.operation.number}
            | {"kind": fault.kind, "lasting": fault.lasting}
            for fault in self.plan
        ]
        content = {"target": self.target, "scenario": self.scenario, "seed": self.seed, "faults": faults}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load(path: Path) -> Replay:
    """Read a file that `Replay.save` has written.

    Raises:
        BadReplay: it can't be read, or a field is missing or unknown.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        plan = tuple(
            PlannedFault(Operation(each["operation"], int(each["number"])), _kind(each["kind"]), bool(each["lasting"]))
            for each in content["faults"]
        )
        return Replay(str(content["target"]), str(content["scenario"]), int(content["seed"]), plan)
    except OSError as error:
        raise BadReplay(f"{path} can't be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise BadReplay(f"{path} is not a saved run: {type(error).__name__}: {error}") from None


def _kind(value: object) -> Kind:
    if value not in KINDS:
        raise ValueError(f"kind {value!r} is not one of {', '.join(KINDS)}")
    return value


def find_target(name: str) -> Target:
    """Import a target, `MODULE:FUNCTION`.

    Raises:
        BadReplay: there is no such function.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadReplay(f"target {name!r} can't be imported, expected MODULE:FUNCTION: {error}") from None
    return cast("Target", found)


def find_scenario(name: str) -> Scenario:
    """Return a scenario by its name.

    Raises:
        BadReplay: there is none.
    """
    found = [scenario for scenario in find() if scenario.name == name]
    if not found:
        raise BadReplay(f"there is no scenario {name!r}; `cryo-harness list` shows all")
    return found[0]
