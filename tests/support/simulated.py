"""Doubles of the simulation outside of a simulated run: each call has its own virtual loop, and no worker dies."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from harness.fakes.dispatcher import Dispatcher
from harness.simulate.bench import Bench, Doubles
from harness.simulate.boundary import Boundary
from harness.simulate.disk import SimulatedDisk
from harness.simulate.http import SimulatedDispatcher
from harness.simulate.loop import SimulatedClock, run_virtually
from harness.simulate.plan import Plan, PlannedFault
from harness.simulate.process import SimulatedCryo
from harness.simulate.queue import SimulatedQueue
from harness.simulate.recorder import SimulatedRecorder
from harness.simulate.schedule import Schedule
from harness.simulate.store import SimulatedStore

T = TypeVar("T")
LIFE = 1


class Immortal:
    """Workers to which nothing happens."""

    def is_alive(self, life: int) -> bool:
        """Return True."""
        return life == LIFE

    def kill(self, life: int, *, loses_disk: bool) -> None:
        """Fail: nothing is planned."""
        raise AssertionError(life, loses_disk)

    def terminate(self, life: int) -> None:
        """Fail."""
        raise AssertionError(life)

    def note(self, fault: PlannedFault) -> None:
        """Fail."""
        raise AssertionError(fault)

    def take_leases(self) -> None:
        """Fail."""
        raise AssertionError


def simulated_bench(folder: Path, machine: Dispatcher | None = None) -> Bench:
    """Return the doubles of one worker; without a dispatcher, one without tasks."""
    clock, random, plan = SimulatedClock(), Random(0), Plan()
    recorder, progress = SimulatedRecorder(clock), asyncio.Event()
    boundary = Boundary(plan, random, Immortal(), Schedule(plan, Immortal().take_leases))
    disk = SimulatedDisk(folder, clock, random)
    machine = machine or Dispatcher()
    doubles = Doubles(
        boundary,
        clock,
        SimulatedStore(boundary, recorder),
        SimulatedQueue(boundary, recorder, clock, progress),
        SimulatedDispatcher(boundary, recorder, machine, progress, str(folder)),
        SimulatedCryo(boundary, recorder, 1, disk),
        disk,
        machine.worker_token,
        "trace",
        1,
        1_000_000,
        {},
    )
    return Bench(LIFE, random, doubles)


class Bridged:
    """An object whose async methods run on a virtual loop, wherever they are awaited; other attributes are its own."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        """Return an attribute, or the method on a virtual loop."""
        found = getattr(self._inner, name)
        return _bridged(found) if asyncio.iscoroutinefunction(found) else found


def _bridged(method: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    async def call(*arguments: Any, **options: Any) -> T:
        async def run() -> T:
            return await method(*arguments, **options)

        return await asyncio.to_thread(run_virtually, run())

    return call
