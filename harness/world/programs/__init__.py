"""What transactions do: each program is one kind of transaction, with its input, logs, calls and storage accesses.

A random byte of a transaction selects an item of `PROGRAMS`; a program that is listed more often occurs more often. To
add a program, write a class with the four methods of `Program` and list it.
"""

from __future__ import annotations

from harness.world.programs.base import Intent, Program
from harness.world.programs.contracts import Create, Deploy, Destroy, FailedCreate
from harness.world.programs.oddities import OddLogs, Revert, SilentCall
from harness.world.programs.system import Deposit, StateSync
from harness.world.programs.tokens import CollectibleTransfer, Payment, Swap, Transfer

PROGRAMS: tuple[Program, ...] = (
    Payment(),
    Transfer(),
    Transfer(),
    Swap(),
    CollectibleTransfer(),
    Create(),
    Deploy(),
    Revert(),
    OddLogs(),
    CollectibleTransfer(),
    Transfer(),
    SilentCall(),
    Swap(),
    Destroy(),
    FailedCreate(),
    Revert(),
    Deposit(),
    StateSync(),
)
"""By program number; ordinary transactions use the first `ORDINARY_PROGRAMS`, quirks the others."""

ORDINARY_PROGRAMS = 16
DEPOSIT, STATE_SYNC = 16, 17

LIFECYCLE = frozenset(
    number for number, program in enumerate(PROGRAMS) if isinstance(program, Create | Deploy | Destroy)
)
"""The programs that create or destroy a contract which no other transaction uses."""

__all__ = ["DEPOSIT", "LIFECYCLE", "ORDINARY_PROGRAMS", "PROGRAMS", "STATE_SYNC", "Intent", "Program"]
