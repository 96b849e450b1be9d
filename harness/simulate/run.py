"""Runs one scenario on virtual time, under a plan, and judges the history."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import check_history
from harness.fakes.dispatcher import Dispatcher
from harness.history import (
    FinalObject,
    FinalState,
    HarnessAction,
    ScenarioStarted,
    TaskCreated,
    TimedOut,
    WorkerExited,
    WorkerStarted,
)
from harness.simulate.bench import Bench, Target
from harness.simulate.boundary import Boundary, Crashed
from harness.simulate.http import SimulatedDispatcher
from harness.simulate.loop import Deadlock, SimulatedClock, run_virtually
from harness.simulate.plan import CRASHES, Operation, Plan, PlannedFault
from harness.simulate.process import STAGING_ROOT, SimulatedCryo, oracle, staged
from harness.simulate.queue import SimulatedQueue
from harness.simulate.recorder import SimulatedRecorder
from harness.simulate.store import SimulatedStore

if TYPE_CHECKING:
    from harness.history import Event
    from harness.scenario import Scenario

BUCKET = "simulated"
LEASE_SECONDS = 60.0
MAX_ATTEMPTS = 12
RESTART_SECONDS = 1.0
POLL_SECONDS = 2.0
"""How often the end of a run is looked for; leases and backoffs end at their time."""
LIMIT_SECONDS = 3600.0
"""Virtual time in which every task must have ended: faults last two minutes at most."""


FAULTY = ("OUT-1",)
INTERRUPTED = ("STG-3",)
"""Clauses about the end of an attempt: one that loses its lease to a fault need not report, and a worker that is killed
can't delete its directory."""


@dataclass(frozen=True, slots=True)
class Run:
    """One simulated run: its history and digest, its operations in order, and what is wrong with it."""

    plan: tuple[PlannedFault, ...]
    seed: int
    events: tuple[Event, ...]
    digest: str
    operations: tuple[Operation, ...]
    attempts: int
    virtual_seconds: float
    unfired: tuple[PlannedFault, ...]
    problems: tuple[str, ...]


def simulate(scenario: Scenario, target: Target, *, plan: tuple[PlannedFault, ...] = (), seed: int = 0) -> Run:
    """Run a scenario's tasks through a target."""
    with tempfile.TemporaryDirectory(prefix="simulate-", dir=_memory()) as name:
        world = _World(scenario, target, Plan(plan), seed, Path(name))
        try:
            run_virtually(world.run())
        except Deadlock as deadlock:
            world.recorder_events_end(str(deadlock))
        return world.result()


def _memory() -> str | None:
    """Return a directory in memory, if there is one: no run needs the disk to be durable."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a private directory is made in it


def stream(seed: int, name: str) -> Random:
    """Return the random numbers of one purpose: adding a purpose changes no other."""
    return Random(int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big"))  # noqa: S311 - reproducible


class _World:
    """The doubles of a run, and the workers that live one after the other."""

    def __init__(self, scenario: Scenario, target: Target, plan: Plan, seed: int, folder: Path) -> None:
        self.scenario, self.target, self.plan, self.seed = scenario, target, plan, seed
        self.staging_root = folder / "staging"
        self.staging_root.mkdir(mode=0o700)
        self.clock = SimulatedClock()
        self.recorder = SimulatedRecorder(self.clock)
        self.boundary = Boundary(plan, stream(seed, "latency"), self._crashed)
        self.queue = SimulatedQueue(self.boundary, self.recorder, self.clock)
        self.store = SimulatedStore(self.boundary, self.recorder)
        self.machine: Dispatcher | None = None
        self.bench: Bench | None = None
        self.worker: asyncio.Task[None] | None = None
        self.ended_at = self.started_at = 0.0
        self.timed_out = self.failure = ""

    async def run(self) -> None:
        """Run the scenario to its end."""
        self.started_at = self.clock.monotonic()
        machine = Dispatcher(
            queue=self.queue,
            clock=self.clock,
            lease_seconds=LEASE_SECONDS,
            max_attempts=MAX_ATTEMPTS,
            bucket=BUCKET,
            seed=self.seed,
        )
        self.machine = machine
        self.dispatcher = SimulatedDispatcher(self.boundary, self.recorder, machine)
        chain_id = self.scenario.node.chain_id
        self.cryo = SimulatedCryo(self.boundary, self.recorder, chain_id, self.staging_root)
        expected: dict[str, dict[str, Any]] = {}
        for line in self.scenario.tasks:
            payload = line.payload()
            expected |= oracle(chain_id, payload["cryo_dataset_name"], payload["range_start"], payload["range_end"])
        self.recorder.add(
            ScenarioStarted,
            scenario=self.scenario.model_dump(mode="json"),
            target="simulated",
            store="s3",
            bucket=BUCKET,
            staging_root=STAGING_ROOT,
            oracle=expected,
        )
        for index, line in enumerate(self.scenario.tasks):
            payload = line.value()
            task_id = machine.add_task(payload)
            self.recorder.add(TaskCreated, task=index, task_id=task_id, payload=payload)
        await self._live_until_over()
        self.dispatcher.settle()
        self.ended_at = self.clock.monotonic()
        self._conclude()

    async def _live_until_over(self) -> None:
        """Start a worker, and another one whenever it dies, until all tasks have ended and the queue is empty."""
        over = asyncio.create_task(self._wait_until_over(), name="the end of the scenario")
        while not over.done():
            self._start()
            assert self.worker is not None  # noqa: S101 - just started
            await asyncio.wait({self.worker, over}, return_when=asyncio.FIRST_COMPLETED)
            if over.done() or self.failure:
                break
            await self._bury()
            await asyncio.sleep(RESTART_SECONDS)
        over.cancel()
        if self.bench is not None:
            self.bench.stop.set()
        if self.worker is not None:
            await asyncio.wait({self.worker}, timeout=LEASE_SECONDS)
        await self._bury()

    def _start(self) -> None:
        machine = self.machine
        assert machine is not None  # noqa: S101 - made by `run`
        life = self.boundary.life
        self.bench = Bench(
            life,
            self.boundary,
            self.clock,
            stream(self.seed, f"worker {life}"),
            self.store,
            self.queue,
            self.dispatcher,
            self.cryo,
            self.staging_root,
            machine.worker_token,
            BUCKET,
            self.scenario.node.chain_id,
            {"TRACE_COVERAGE": "rows", "TRACE_CRYO_MODE": "real"},
        )
        self.recorder.add(WorkerStarted, worker=life, task=None, pid=life)
        self.worker = asyncio.create_task(self._live(self.bench), name=f"worker {life}")

    async def _live(self, bench: Bench) -> None:
        code = -9
        try:
            await self.target(bench)
            code = 0
        except Crashed:
            pass
        except Exception as error:  # noqa: BLE001 - a service must not end by itself
            code = 1
            self.failure = f"the worker ended with {type(error).__name__}: {error}"
        finally:
            self.recorder.add(WorkerExited, worker=bench.life, code=code)

    def _crashed(self) -> None:
        self.recorder.add(HarnessAction, action="SIGKILL", worker=self.boundary.life - 1)
        if self.worker is not None:
            self.worker.cancel()

    async def _bury(self) -> None:
        """Wait until nothing of a dead worker runs, and release what the kernel would release."""
        if self.worker is not None:
            self.worker.cancel()
            with contextlib.suppress(asyncio.CancelledError, Crashed):
                await asyncio.gather(self.worker, return_exceptions=True)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if task.get_name() != "the end of the scenario":
                task.cancel()
        for release in self.bench.on_death if self.bench is not None else []:
            release()
        self.worker = None

    async def _wait_until_over(self) -> None:
        assert self.machine is not None  # noqa: S101 - made by `run`
        until = self.clock.monotonic() + LIMIT_SECONDS
        while self.clock.monotonic() < until:
            self.machine.tick()
            if all(task.ended for task in self.machine.tasks) and not self.queue.depth():
                return
            due = self.machine.next_due()
            seconds = POLL_SECONDS if due is None else due - self.clock.time()
            await asyncio.sleep(min(POLL_SECONDS, max(0.01, seconds)))
        self.timed_out = f"a task did not end, or its wake-up stayed, in {LIMIT_SECONDS:.0f} s"
        self.recorder.add(TimedOut, what=self.timed_out)

    def recorder_events_end(self, problem: str) -> None:
        """Note that the run ended without its end."""
        self.timed_out = problem

    def _conclude(self) -> None:
        assert self.machine is not None  # noqa: S101 - made by `run`
        objects = {}
        for key, content in sorted(self.store.objects.items()):
            is_parquet = key.endswith(".parquet")
            objects[key] = FinalObject(
                digest=hashlib.sha256(content.body).hexdigest(),
                size_bytes=len(content.body),
                metadata=dict(content.metadata),
                text=None if is_parquet else content.body.decode(),
                parquet=json.loads(content.body) if is_parquet else None,
            )
        self.recorder.add(
            FinalState,
            objects=objects,
            staged=staged(self.staging_root),
            registered={version: len(times) for version, times in self.machine.registered.items()},
            rejected_requests=tuple((each.clause, each.detail) for each in self.machine.violations),
        )

    def result(self) -> Run:
        """Judge the run."""
        events = self.recorder.events
        problems = [problem for problem in (self.failure, self.timed_out) if problem]
        if isinstance(events[-1], FinalState):
            checked = check_history(events)
            left_out = set(INTERRUPTED) if any(fault.kind in CRASHES for fault in self.plan.faults) else set()
            left_out |= set(FAULTY) if self.plan.faults else set()
            problems += [
                f"{each.clause}: expected {each.expected}; seen: {each.seen}"
                for each in checked.violations
                if each.clause not in left_out
            ]
            problems += [error for error in checked.errors if "shows" not in error]
        machine = self.machine
        return Run(
            self.plan.faults,
            self.seed,
            tuple(events),
            self.recorder.digest(),
            tuple(self.boundary.operations),
            sum(task.attempt for task in machine.tasks) if machine is not None else 0,
            self.ended_at - self.started_at,
            tuple(self.plan.unfired),
            tuple(problems),
        )
