"""Lets a process import a worker with a mutant, by the loader of the simulation's planted bugs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from simulation.planted.loader import PatchingFinder

if TYPE_CHECKING:
    from mutation.mutant import Mutant


class ImportedAlready(Exception):
    """The worker was imported before the mutant was planted; the message names the mutant."""


def plant(mutant: Mutant) -> None:
    """Let this process import the worker with a mutant.

    Raises:
        ImportedAlready: too late, the module has been imported.
    """
    if mutant.module in sys.modules:
        raise ImportedAlready(f"{mutant.name}: the worker is imported already; plant in a process of its own")
    sys.meta_path.insert(0, PatchingFinder(mutant.name, [mutant]))
