"""One simulated world: the doubles, and workers that are started again whenever they die."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from contextvars import copy_context
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from harness.contract import prefix
from harness.fakes.dispatcher import Dispatcher
from harness.history import (
    FaultFired,
    FinalObject,
    FinalState,
    HarnessAction,
    ScenarioStarted,
    TaskCreated,
    TimedOut,
    WorkerExited,
    WorkerStarted,
)
from harness.simulate.bench import Bench, Doubles, Target
from harness.simulate.boundary import Boundary
from harness.simulate.disk import STAGING_ROOT, SimulatedDisk
from harness.simulate.http import SimulatedDispatcher
from harness.simulate.loop import LIFE, SimulatedClock, current_loop
from harness.simulate.process import SimulatedCryo, oracle
from harness.simulate.queue import SimulatedQueue
from harness.simulate.recorder import SimulatedRecorder
from harness.simulate.schedule import Schedule
from harness.simulate.store import SimulatedStore
from harness.simulate.watchdog import Endless
from harness.simulate.worlds import preloaded, published

if TYPE_CHECKING:
    from contextvars import Context
    from pathlib import Path

    from harness.history import StagedEntry
    from harness.scenario import Scenario
    from harness.simulate.plan import Plan, PlannedFault

BUCKET = "simulated"
DISCARD, SWEEP = "disk.discard", "disk.sweep"
"""The operations in which a worker deletes the directory of its attempt, and those of dead attempts."""
BESIDE_LIVE_ATTEMPT = "started beside the locked directory of a live attempt"
RESTART_SECONDS = 1.0
"""After the death of a worker; the first workers start in such intervals too, so the first one gets the first task."""
POLL_SECONDS = 10.0
"""How often the end of a run is looked for at least; leases, backoffs and requests end at their time."""
LIMIT_SECONDS = 900.0
"""Virtual time in which every task must have ended: faults last two minutes at most."""
STOP_SECONDS = 60.0
"""Virtual time in which a worker without an attempt must have ended after SIGTERM."""
SWEPT_AFTER_SECONDS = 7 * 24 * 3600.0
"""How old directories of dead attempts are made before the last worker starts, which must delete them."""
SWEEP_SECONDS = 10.0


def stream(seed: int, name: str) -> Random:
    """Return the random numbers of one purpose: adding a purpose changes no other."""
    return Random(int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big"))  # noqa: S311 - reproducible


@dataclass(slots=True)
class Worker:
    """One life of a worker."""

    bench: Bench
    task: asyncio.Task[None]


@dataclass(slots=True)
class World:
    """A run of a scenario.

    `problems` are laws of liveness that were broken, `killed` the lives that ended by SIGKILL. `places` has the number
    in the fleet, from 1, of each life of a worker.
    """

    scenario: Scenario
    target: Target
    plan: Plan
    seed: int
    folder: Path
    problems: list[str] = field(default_factory=list)
    attempts_before_sweep: tuple[StagedEntry, ...] = ()
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    started_at: float = 0.0
    ended_at: float = 0.0
    killed: set[int] = field(default_factory=set)
    places: dict[int, int] = field(default_factory=dict)
    _lives: int = 0
    _alive: dict[int, Worker] = field(default_factory=dict)
    _is_ending: bool = False
    _world: Context = field(default_factory=copy_context)

    # The doubles are made by `_open`, since they belong to the running loop.
    recorder: SimulatedRecorder = field(init=False)
    boundary: Boundary = field(init=False)
    machine: Dispatcher = field(init=False)
    doubles: Doubles = field(init=False)
    _progress: asyncio.Event = field(init=False)

    def is_alive(self, life: int) -> bool:
        """Return whether a worker has neither died nor ended."""
        return life in self._alive

    def kill(self, life: int, *, loses_disk: bool) -> None:
        """Kill a worker, or all of them by a loss of power; others take their places a second later."""
        lives = list(self._alive) if loses_disk else [life]
        for each in lives:
            worker = self._alive.pop(each)
            self.recorder.add(HarnessAction, action="SIGKILL", worker=each)
            self.killed.add(each)
            self.recorder.add(WorkerExited, worker=each, code=-signal.SIGKILL)
            self._bury(worker)
        if loses_disk:
            self.doubles.disk.lose_power()

    def terminate(self, life: int) -> None:
        """Send SIGTERM to a worker; another one takes its place when it has ended."""
        self.recorder.add(HarnessAction, action="SIGTERM", worker=life)
        self.doubles.dispatcher.terminated_at.setdefault(life, self.clock.monotonic())
        self._alive[life].bench.signals.put_nowait(signal.SIGTERM)

    def note(self, fault: PlannedFault) -> None:
        """Record that a fault has fired."""
        self.recorder.add(FaultFired, fault=str(fault))

    def take_leases(self) -> None:
        """End the leases of all running attempts."""
        self.recorder.add(HarnessAction, action="take-lease")
        for task in self.machine.tasks:
            self.machine.take_lease(task.task_id)

    async def run(self) -> None:
        """Run the scenario to its end."""
        self._open()
        for number in range(1, self.scenario.platform.workers + 1):
            self._start(number, after_seconds=(number - 1) * RESTART_SECONDS)
        await self._wait_until_over()
        self._is_ending = True
        self.boundary.schedule.finish()
        await self._stop_workers()
        while self.boundary.in_flight:
            self._progress.clear()
            await _wait(self._progress, RESTART_SECONDS)
        self.attempts_before_sweep = self.doubles.disk.entries()
        await self._sweep()
        self.doubles.dispatcher.settle()
        self.ended_at = self.clock.monotonic()
        self._conclude()

    def _open(self) -> None:
        platform, chain_id = self.scenario.platform, self.scenario.node.chain_id
        self.started_at = self.clock.monotonic()
        current_loop().set_exception_handler(self._on_error)
        self._progress = asyncio.Event()
        self.recorder = recorder = SimulatedRecorder(self.clock)
        schedule = Schedule(self.plan, self.take_leases)
        latency = stream(self.seed, "latency")
        self.boundary = boundary = Boundary(self.plan, latency, self, schedule)
        queue = SimulatedQueue(boundary, recorder, self.clock, self._progress)
        self.machine = machine = Dispatcher(
            queue=queue,
            clock=self.clock,
            lease_seconds=platform.lease_seconds,
            max_attempts=platform.max_attempts,
            backoff_seconds=platform.backoff_seconds,
            wakeups=platform.wakeups,
            bucket=BUCKET,
            seed=self.seed,
        )
        root = self.folder / "staging"
        root.mkdir(mode=0o700)
        disk = SimulatedDisk(root, self.clock, stream(self.seed, "disk"))
        self.doubles = Doubles(
            boundary,
            self.clock,
            SimulatedStore(boundary, recorder),
            queue,
            SimulatedDispatcher(boundary, recorder, machine, self._progress, str(root)),
            SimulatedCryo(boundary, recorder, chain_id, disk),
            disk,
            machine.worker_token,
            BUCKET,
            chain_id,
            self.scenario.node.head,
            {"TRACE_COVERAGE": "rows", "TRACE_CRYO_MODE": "real"},
        )
        self._fill()

    def _on_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Report an exception that nothing else reports; tasks of killed workers end with one."""
        if "handle" in context:
            self.problems.append(f"an error of the harness: {context.get('exception')!r}")

    def _fill(self) -> None:
        """Store the preloaded objects, and create the tasks."""
        expected: dict[str, dict[str, Any]] = {}
        for line in self.scenario.tasks:
            payload = line.payload()
            expected |= oracle(
                payload["chain_id"], payload["cryo_dataset_name"], payload["range_start"], payload["range_end"]
            )
        objects = preloaded(self.scenario)
        for key, content in objects.items():
            self.doubles.store.preload(key, content)
        self.recorder.add(
            ScenarioStarted,
            scenario=self.scenario.model_dump(mode="json"),
            target="simulated",
            store="s3",
            bucket=BUCKET,
            staging_root=STAGING_ROOT,
            preloaded={key: hashlib.sha256(content.body).hexdigest() for key, content in objects.items()},
            oracle=expected,
        )
        for index, line in enumerate(self.scenario.tasks):
            self.doubles.store.versions[prefix(line.payload())] = published(line.payload())
            payload = line.value()
            task_id = self.machine.add_task(payload)
            self.recorder.add(TaskCreated, task=index, task_id=task_id, payload=payload)

    def _start(self, number: int, *, after_seconds: float) -> None:
        current_loop().call_later(after_seconds, self._start_unless_over, number, context=self._world)

    def _start_unless_over(self, number: int) -> None:
        if not self._is_ending:
            self._start_now(number)

    def _start_now(self, number: int) -> None:
        self._lives += 1
        life = self._lives
        if self.doubles.disk.locked():
            self.recorder.add(HarnessAction, action=BESIDE_LIVE_ATTEMPT, worker=life)
        bench = Bench(life, stream(self.seed, f"worker {life}"), self.doubles)
        self.recorder.add(WorkerStarted, worker=life, task=None, pid=life)
        context = copy_context()
        context.run(LIFE.set, life)
        task = current_loop().create_task(self._live(bench, number), name=f"worker {life}", context=context)
        self._alive[life], self.places[life] = Worker(bench, task), number
        self.boundary.schedule.lives[number] = life

    async def _live(self, bench: Bench, number: int) -> None:
        code = 0
        try:
            await self.target(bench)
        except (Endless, GeneratorExit):  # the latter when an ended run is forgotten
            raise
        except BaseException as error:  # noqa: BLE001 - a service must not end by itself, and a killed one ends somehow
            if self.is_alive(bench.life):
                code = 1
                self.problems.append(f"worker {bench.life} ended with {type(error).__name__}: {error}")
        if code == 0 and self.is_alive(bench.life) and bench.life not in self.doubles.dispatcher.terminated_at:
            self.problems.append(f"worker {bench.life} ended without a signal")
        worker = self._alive.pop(bench.life, None)
        if worker is not None:
            self.recorder.add(WorkerExited, worker=bench.life, code=code)
            self._bury(worker)
        self._progress.set()
        if not self._is_ending:
            self._start(number, after_seconds=RESTART_SECONDS)

    def _bury(self, worker: Worker) -> None:
        """End everything of a dead worker, and release what the kernel would release."""
        loop, life = current_loop(), worker.bench.life
        loop.continue_life(life)
        for task in loop.tasks_of(life):
            task.cancel()
        for release in worker.bench.on_death:
            release()

    async def _wait_until_over(self) -> None:
        """Wait until all tasks have ended and the queue is empty."""
        until = self.clock.monotonic() + LIMIT_SECONDS
        while self.clock.monotonic() < until:
            self.machine.tick()
            if all(task.ended for task in self.machine.tasks) and not self.doubles.queue.depth():
                return
            due = self.machine.next_due()
            seconds = POLL_SECONDS if due is None else due - self.clock.time()
            self._progress.clear()
            await _wait(self._progress, min(POLL_SECONDS, max(0.01, seconds)))
        problem = f"a task did not end, or its wake-up stayed, in {LIMIT_SECONDS:.0f} s"
        self.problems.append(problem)
        self.recorder.add(TimedOut, what=problem)

    async def _stop_workers(self) -> None:
        """Send SIGTERM to all workers, and wait until they have ended."""
        for life in sorted(self._alive):
            current_loop().continue_life(life)
            if life not in self.doubles.dispatcher.terminated_at:
                self.terminate(life)
        until = self.clock.monotonic() + STOP_SECONDS
        while self._alive and self.clock.monotonic() < until:
            self._progress.clear()
            await _wait(self._progress, until - self.clock.monotonic())
        for life in sorted(self._alive):
            self.problems.append(f"worker {life} still runs {STOP_SECONDS:.0f} s after SIGTERM")
            self.kill(life, loses_disk=False)

    async def _sweep(self) -> None:
        """Start one more worker on the disk if an attempt left something there, when it is old enough to be deleted."""
        if not self.attempts_before_sweep:
            return
        self.doubles.disk.stamp_all()
        self.clock.advance(SWEPT_AFTER_SECONDS)
        self._start_now(1)
        await asyncio.sleep(SWEEP_SECONDS)
        await self._stop_workers()
        could_sweep = not any(fault.operation.name == SWEEP for fault in self.plan.fired)
        if could_sweep and (left := [entry.path for entry in self.doubles.disk.entries()]):
            self.problems.append(f"STG-4: what dead attempts left is deleted by the next sweep; still there: {left}")

    def _conclude(self) -> None:
        objects = {}
        for key, content in sorted(self.doubles.store.objects.items()):
            objects[key] = FinalObject(
                digest=hashlib.sha256(content.body).hexdigest(),
                size_bytes=len(content.body),
                metadata=dict(content.metadata),
                text=content.body.decode() if not key.endswith(".parquet") else None,
                parquet=_parquet(content.body) if key.endswith(".parquet") else None,
            )
        self.recorder.add(
            FinalState,
            objects=objects,
            staged=tuple(entry for entry in self.attempts_before_sweep if not self._could_not_delete(entry)),
            registered={version: len(times) for version, times in self.machine.registered.items()},
            rejected_requests=tuple((each.clause, each.detail) for each in self.machine.violations),
        )

    def _could_not_delete(self, entry: StagedEntry) -> bool:
        """Return whether an entry's worker was killed, or its disk failed; then the sweep is judged instead."""
        if any(fault.operation.name == DISCARD for fault in self.plan.fired):
            return True
        task_id, _, rest = entry.path.partition("/")
        attempt = rest.partition("/")[0]
        claimed_by = self.doubles.dispatcher.claimed_by
        if not attempt:
            return any(life in self.killed for (task, _), life in claimed_by.items() if task == task_id)
        return claimed_by.get((task_id, int(attempt))) in self.killed


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event for some seconds at most."""
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, event.set)
    await event.wait()
    timer.cancel()


def _parquet(body: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(body)
    except ValueError:
        return {"unreadable": "no facts of a file"}
    return found
