"""What transactions do: each program is one kind of transaction, with its input, logs, calls and storage accesses.

`PROGRAMS` is the mix; a transaction's draw picks its place in it. Adding a program means adding a class with the four
methods of `Program` and giving it places.
"""

from __future__ import annotations

from harness.world.programs.base import Intent, Program
from harness.world.programs.contracts import Create, Deploy, Destroy, FailedCreate
from harness.world.programs.oddities import Quiet, Revert, Zoo
from harness.world.programs.system import Deposit, StateSync
from harness.world.programs.tokens import Collect, Pay, Swap, Transfer

PROGRAMS: tuple[Program, ...] = (
    Pay(),
    Transfer(),
    Transfer(),
    Swap(),
    Collect(),
    Create(),
    Deploy(),
    Revert(),
    Zoo(),
    Collect(),
    Transfer(),
    Quiet(),
    Swap(),
    Destroy(),
    FailedCreate(),
    Revert(),
    Deposit(),
    StateSync(),
)
"""By program number; the first `DRAWN` are what ordinary transactions draw from, the others belong to quirks."""

DRAWN = 16
DEPOSIT, STATE_SYNC = 16, 17

LIFE_AND_DEATH = frozenset(place for place, each in enumerate(PROGRAMS) if isinstance(each, Create | Deploy | Destroy))
"""The programs that make or unmake a contract which no other transaction knows."""

__all__ = ["DEPOSIT", "DRAWN", "LIFE_AND_DEATH", "PROGRAMS", "STATE_SYNC", "Intent", "Program"]
