"""Saved runs: the scenario, the seed and the faults, from which the same history arises again."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from harness.scenario import find
from harness.simulate.plan import KINDS, Kind, Operation, PlannedFault, Step, Switch
from harness.simulate.worlds import WORLDS, unsupported

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
    plan: tuple[Step, ...]

    def save(self, path: Path) -> None:
        """Write a JSON file."""
        plan = [_written(step) for step in self.plan]
        content = {"target": self.target, "scenario": self.scenario, "seed": self.seed, "plan": plan}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load(path: Path) -> Replay:
    """Read a file that `Replay.save` has written.

    Raises:
        BadReplay: it can't be read, or a field is missing or unknown.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        plan = tuple(_read(each) for each in content["plan"])
        return Replay(str(content["target"]), str(content["scenario"]), int(content["seed"]), plan)
    except OSError as error:
        raise BadReplay(f"{path} can't be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise BadReplay(f"{path} is not a saved run: {type(error).__name__}: {error}") from None


def _written(step: Step) -> dict[str, object]:
    if isinstance(step, Switch):
        return {"worker": step.worker, "operations": step.operations, "takes_leases": step.takes_leases}
    operation = {"operation": step.operation.name, "number": step.operation.number}
    return operation | {"kind": step.kind, "lasting": step.lasting}


def _read(step: dict[str, Any]) -> Step:
    if "worker" in step:
        return Switch(int(step["worker"]), int(step["operations"]), bool(step["takes_leases"]))
    operation = Operation(str(step["operation"]), int(step["number"]))
    return PlannedFault(operation, _kind(step["kind"]), bool(step["lasting"]))


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
    """Return a world or a scenario by its name.

    Raises:
        BadReplay: there is none, or it has what can't be simulated.
    """
    if name in WORLDS:
        return WORLDS[name]
    found = [scenario for scenario in find() if scenario.name == name]
    if not found:
        worlds = ", ".join(WORLDS)
        raise BadReplay(f"there is no world {name!r} ({worlds}), nor a scenario; `cryo-harness list` shows scenarios")
    if missing := unsupported(found[0]):
        raise BadReplay(f"scenario {name!r} can't be simulated: it has {', '.join(missing)}")
    return found[0]
