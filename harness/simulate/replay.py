"""Saved runs: the scenario, the seed and the faults, from which the same history arises again."""

from __future__ import annotations

import importlib
import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from harness.generated.worlds import world_by_name
from harness.scenario import find
from harness.simulate.plan import KINDS, Kind, Operation, PlannedFault, Step, Switch
from harness.simulate.worlds import WORLDS, as_world, unsupported

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
        _check_fields(content)
        return Replay(str(content["target"]), str(content["scenario"]), _number(content["seed"], least=0), plan)
    except OSError as error:
        raise BadReplay(f"{path} can't be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BadReplay(f"{path} is not a saved run: {type(error).__name__}: {error}") from None


def _check_fields(content: dict[str, Any]) -> None:
    if unknown := sorted(content.keys() - {"target", "scenario", "seed", "plan"}):
        raise ValueError(f"unknown fields: {', '.join(unknown)}")


def _written(step: Step) -> dict[str, object]:
    if isinstance(step, Switch):
        return {"worker": step.worker, "operations": step.operations, "takes_leases": step.takes_leases}
    operation = {"operation": step.operation.name, "number": step.operation.number}
    return operation | {"kind": step.kind, "lasting": step.lasting}


def _read(step: dict[str, Any]) -> Step:
    if "worker" in step:
        worker, operations = _number(step["worker"], least=1), _number(step["operations"], least=0)
        return Switch(worker, operations, _flag(step["takes_leases"]))
    operation = Operation(str(step["operation"]), _number(step["number"], least=1))
    return PlannedFault(operation, _kind(step["kind"]), _flag(step["lasting"]))


def _number(value: object, *, least: int) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"{value!r} is not an integer from {least}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


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
    except Exception as error:  # noqa: BLE001 - the target's module is not ours
        reason = f"{type(error).__name__}: {error}"
        raise BadReplay(f"target {name!r} can't be imported, expected MODULE:FUNCTION: {reason}") from None
    if not inspect.iscoroutinefunction(found):
        raise BadReplay(f"target {name!r} must be MODULE:FUNCTION of an async function that takes a Bench")
    return cast("Target", found)


def find_scenario(name: str) -> Scenario:
    """Return a world or a scenario by its name.

    Raises:
        BadReplay: there is none, or it has what can't be simulated.
    """
    if name in WORLDS:
        return WORLDS[name]
    if (generated := world_by_name(name)) is not None:
        return as_world(generated)
    found = [scenario for scenario in find() if scenario.name == name]
    if not found:
        worlds = ", ".join(WORLDS)
        raise BadReplay(
            f"unknown world or scenario {name!r}; the worlds are {worlds}, and `cryo-harness list` shows the scenarios"
        )
    if missing := unsupported(found[0]):
        raise BadReplay(f"scenario {name!r} can't be simulated: it has {', '.join(missing)}")
    return as_world(found[0])
