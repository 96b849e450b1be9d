"""The simulation's targets: `simulation.planted.target:NAME` is our worker with the bug of that name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation.planted.loader import plant
from simulation.planted.table import BadPatch

if TYPE_CHECKING:
    from harness.simulate.bench import Target


def __getattr__(name: str) -> Target:
    """Return the worker with a bug.

    Raises:
        AttributeError: there is no such bug, or the worker has been imported without it.
    """
    try:
        plant(name)
    except BadPatch as problem:
        raise AttributeError(str(problem)) from None
    from simulation.adapter import worker  # noqa: PLC0415 - only after the bug is planted

    return worker
