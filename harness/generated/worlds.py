"""Generated scenarios for the simulation: a service whose range, stored objects and tasks vary, without faults.

Faults are those of the simulation's own plans. Their names are `generated-world-SEED-NUMBER`.
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

from harness.generated.compose import compose, dimensions
from harness.generated.surroundings import Impossible

if TYPE_CHECKING:
    from harness.scenario import Scenario

VARIED = ("range", "dataset", "delivery", "stored", "tasks")
"""The dimensions that the simulation's doubles model."""
NAME = re.compile(r"generated-world-([0-9]+)-([0-9]+)")


def world_name(number: int, *, seed: int) -> str:
    """Return the name of a world."""
    return f"generated-world-{seed}-{number}"


def world_by_name(name: str) -> Scenario | None:
    """Return the world of a name, None if it is not the name of a generated one."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    random = Random(name)  # noqa: S311 - reproducible
    while True:
        row = {dimension: random.choice(list(dimensions()[dimension])) for dimension in VARIED}
        try:
            world = compose(row, name=name)
        except Impossible:
            continue
        if _is_simple(world):
            return world


def _is_simple(world: Scenario) -> bool:
    """Return whether a world is a service in the documented form whose tasks all succeed."""
    is_service = world.delivery == "worker" and world.platform.form == "documented"
    return is_service and all(line.outcome == "success" for line in world.tasks)
