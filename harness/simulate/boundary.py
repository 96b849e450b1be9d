"""The boundary between workers and their world: every operation of a double passes here, and fails here if planned.

A request is on its way for some virtual time, has its effect, and its answer is on its way back. Once sent, it has its
effect even if the worker gives up, is stopped or dies meanwhile.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from harness.simulate.loop import current_loop
from harness.simulate.plan import DISK, LONG_SECONDS, Kind, Numbering, Operation, Plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from harness.simulate.plan import PlannedFault
    from harness.simulate.schedule import Schedule

T = TypeVar("T")

LATENCY_SECONDS = (0.005, 0.05)
"""The shortest and the longest time of an operation."""

NO_ANSWER_SECONDS = 30.0
"""After so long, an operation without an answer fails, unless its caller gives up before."""

WITHOUT_ANSWER: frozenset[Kind | None] = frozenset(("unanswered", "cut-off", "crash-between"))


class Refused(Exception):
    """The operation had no effect."""


class Unanswered(Exception):
    """The operation has had its effect, but its answer never came, or only a part of it."""


class CutOff(Unanswered):
    """The operation has had its effect, and its answer ended in the middle."""


class Crashed(BaseException):
    """The worker that called is dead: the call has no effect, and no handler of the worker may take it."""


class Workers(Protocol):
    """What the boundary does to workers; they are named by the numbers of their lives."""

    def is_alive(self, life: int) -> bool:
        """Return whether a worker has not died."""

    def kill(self, life: int, *, loses_disk: bool) -> None:
        """Kill a worker, as SIGKILL does; `loses_disk` for a loss of power."""

    def terminate(self, life: int) -> None:
        """Send SIGTERM to a worker."""

    def note(self, fault: PlannedFault) -> None:
        """Record that a fault has fired."""

    def take_leases(self) -> None:
        """End the leases of all running attempts, as an operator of the platform can."""


@dataclass(slots=True)
class Call(Generic[T]):
    """One operation: what it does.

    `effect` is called with whether the answer will arrive, and may raise an exception, which is then the answer.
    `refuse` is called instead if the operation is refused, and `overtake` before an operation that is overtaken. A
    `local` operation is one of a process on the worker's machine, which dies with it.
    """

    name: str
    effect: Callable[[bool], T]
    refuse: Callable[[], None] = lambda: None
    overtake: Callable[[], None] = lambda: None
    local: bool = False


@dataclass(slots=True)
class _Request:
    """A call on its way."""

    call: Call[Any]
    life: int
    kind: Kind | None
    answer: asyncio.Future[Any]
    way_back_seconds: float
    is_late: bool


@dataclass(slots=True)
class Boundary:
    """Carries out the operations of one run; `senders` has the life of the worker for each.

    `in_flight` counts the requests that have not arrived yet, `stops` how often a worker was stopped. `late_at` has the
    times at which requests arrived that were slow, or that a stopped worker was about to send.
    """

    plan: Plan
    random: Random
    workers: Workers
    schedule: Schedule
    operations: list[Operation] = field(default_factory=list)
    senders: list[int] = field(default_factory=list)
    in_flight: int = 0
    stops: int = 0
    late_at: list[float] = field(default_factory=list)
    _numbering: Numbering = field(default_factory=Numbering)
    _world: Context = field(default_factory=copy_context)

    async def carry_out(self, call: Call[T], *, life: int) -> T:
        """Take some virtual time, apply the effect in the middle of it, and return its result.

        Raises:
            Refused, Unanswered: as planned.
            Crashed: the calling worker is dead, or dies here.
        """
        self._check_alive(life)
        was_stopped = self.schedule.ends_turn(life, call.name)
        if was_stopped:
            await self._resumed(life)
        kind = self._begin(call.name, life)
        loop = current_loop()
        await self._signal(kind, life)
        if kind == "overtaken":
            call.overtake()
        # What a worker sends in the instant in which it goes on, it was about to send when it was stopped.
        is_late = was_stopped or kind in {"slow", "stopped"} or loop.continued_at.get(life) == loop.time()
        way_back = self.random.uniform(*LATENCY_SECONDS) / 2
        request = _Request(call, life, kind, loop.create_future(), way_back, is_late)
        way = self.random.uniform(*LATENCY_SECONDS) / 2 + (LONG_SECONDS if kind == "slow" else 0.0)
        self.in_flight += 1
        loop.call_later(way, self._arrive, request, context=self._world)
        result: T = await request.answer
        self._check_alive(life)
        return result

    def pass_disk(self, name: str, *, life: int) -> None:
        """Number an operation of a worker's own disk, which takes no time.

        Raises:
            Refused: as planned.
            Crashed: the worker is dead.
        """
        self._check_alive(life)
        if self._begin(f"{DISK}{name}", life) is not None:
            raise Refused(name)

    def _begin(self, name: str, life: int) -> Kind | None:
        """Number an operation, and return the kind of the fault that is planned for it."""
        operation = self._numbering.next(name)
        self.operations.append(operation)
        self.senders.append(life)
        fault = self.plan.fault_of(operation, current_loop().time())
        if fault is None:
            return None
        self.workers.note(fault)
        return fault.kind

    async def _signal(self, kind: Kind | None, life: int) -> None:
        """Do to the worker what is planned before its request is sent."""
        loop = current_loop()
        if kind in {"crash-before", "power-loss"}:
            self.workers.kill(life, loses_disk=kind == "power-loss")
            raise Crashed
        if kind == "terminated":
            self.workers.terminate(life)
        if kind == "lease-taken":
            self.workers.take_leases()
        if kind == "stopped":
            loop.call_later(LONG_SECONDS, loop.continue_life, life, context=self._world)
            loop.stop_life(life)
            await self._resumed(life)

    async def _resumed(self, life: int) -> None:
        """Return when a worker that has just been stopped goes on, unless it dies meanwhile."""
        self.stops += 1
        await asyncio.sleep(0)
        self._check_alive(life)

    def _arrive(self, request: _Request) -> None:
        """Let a request have its effect, and send the answer."""
        self.in_flight -= 1
        if request.is_late:
            self.late_at.append(current_loop().time())
        kind, call, answer = request.kind, request.call, request.answer
        is_awaited = not answer.done() and self.workers.is_alive(request.life)
        if call.local and not is_awaited:
            return
        way_back = request.way_back_seconds
        outcome: Any = None
        error: Exception | None = None
        if kind == "refused":
            call.refuse()
            error = Refused(call.name)
        else:
            try:
                outcome = call.effect(is_awaited and kind not in WITHOUT_ANSWER)
            except Exception as problem:  # noqa: BLE001 - the answer to the caller
                error = problem
            if kind == "crash-between":
                self._kill_if_alive(request.life)
                return
            if kind == "cut-off":
                error = CutOff(call.name)
            if kind == "unanswered":
                error = Unanswered(call.name)
                way_back = way_back if call.local else NO_ANSWER_SECONDS
        current_loop().call_later(way_back, self._deliver, request, outcome, error, context=self._world)

    def _deliver(self, request: _Request, outcome: Any, error: Exception | None) -> None:
        if request.answer.done():
            return
        if error is not None:
            request.answer.set_exception(error)
        else:
            request.answer.set_result(outcome)
        if request.kind == "crash-after":
            # After the step of the worker that receives the answer.
            current_loop().call_soon(self._kill_if_alive, request.life, context=self._world)

    def _kill_if_alive(self, life: int) -> None:
        if self.workers.is_alive(life):
            self.workers.kill(life, loses_disk=False)

    def _check_alive(self, life: int) -> None:
        if not self.workers.is_alive(life):
            raise Crashed
