"""The boundary between a worker and its world: every operation of a double passes here, and fails here if planned."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from harness.simulate.plan import SLOW_SECONDS, Numbering, Operation, Plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

T = TypeVar("T")

LATENCY_SECONDS = (0.005, 0.05)
"""The shortest and the longest time of an operation."""

NO_ANSWER_SECONDS = 30.0
"""After so long, an operation without an answer fails, unless its caller gives up before."""


class Refused(Exception):
    """The operation had no effect."""


class Unanswered(Exception):
    """The operation has had its effect, but its answer never came."""


class Crashed(BaseException):
    """The worker that called is dead: the call has no effect, and no handler of the worker may take it."""


@dataclass(slots=True)
class Boundary:
    """Carries out the operations of one run.

    `life` counts the workers that were started: an operation of a worker that has died raises `Crashed`. `on_crash`
    is called when a plan makes the worker die.
    """

    plan: Plan
    random: Random
    on_crash: Callable[[], None]
    operations: list[Operation] = field(default_factory=list)
    life: int = 0
    _numbering: Numbering = field(default_factory=Numbering)

    async def carry_out(self, name: str, effect: Callable[[], T], *, life: int) -> T:
        """Take some virtual time, apply the effect in the middle of it, and return its result.

        Raises:
            Refused, Unanswered: as planned.
            Crashed: the calling worker is dead, or dies here.
        """
        self._check_alive(life)
        operation = self._numbering.next(name)
        self.operations.append(operation)
        fault = self.plan.fault_of(operation, asyncio.get_running_loop().time())
        kind = None if fault is None else fault.kind
        if kind == "crash-before":
            self._crash()
        await asyncio.sleep(self.random.uniform(*LATENCY_SECONDS) / 2)
        self._check_alive(life)
        if kind == "refused":
            raise Refused(str(operation))
        if kind == "slow":
            await asyncio.sleep(SLOW_SECONDS)
            self._check_alive(life)
        result = effect()
        if kind == "crash-between":
            self._crash()
        await asyncio.sleep(NO_ANSWER_SECONDS if kind == "unanswered" else self.random.uniform(*LATENCY_SECONDS) / 2)
        self._check_alive(life)
        if kind == "unanswered":
            raise Unanswered(str(operation))
        if kind == "crash-after":
            asyncio.get_running_loop().call_soon(self._kill, life)
        return result

    def _check_alive(self, life: int) -> None:
        if life != self.life:
            raise Crashed

    def _kill(self, life: int) -> None:
        if life == self.life:
            self.life += 1
            self.on_crash()

    def _crash(self) -> None:
        self._kill(self.life)
        raise Crashed
