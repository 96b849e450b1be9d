"""Runs one scenario and returns its history: starts workers, fires triggers, waits with a time limit."""

from __future__ import annotations

import tempfile
import threading
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from harness.faults import DispatcherFault, Script
from harness.history import FinalState, HarnessAction, ScenarioStarted, TaskCreated, TimedOut
from harness.runner import objects, staging
from harness.runner.recorder import Recorder
from harness.runner.world import open_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.faults import Trigger
    from harness.history import Event
    from harness.runner.world import World
    from harness.scenario import Scenario
    from harness.stores.backends import Backends
    from harness.targets import Target

CHILD_EXIT_SECONDS = 3.0
"""A process that a worker started counts as a survivor if it runs for longer than this after the worker's end."""
QUIET_SECONDS = 2.0
"""`until = "quiet"` is true after this time without an event."""
CRYO_END_SECONDS = 8.0
"""How long `watch_cryo_after_end` waits for Cryo to end: more than the checks allow after a lost lease."""


def run(scenario: Scenario, target: Target, backends: Backends, stop: threading.Event | None = None) -> list[Event]:
    """Run a scenario and return its history.

    Raises:
        Stopped: `stop` was set; all processes of the scenario have ended.
    """
    recorder = Recorder(stop)
    with tempfile.TemporaryDirectory(prefix="harness-") as name:
        folder = Path(name).resolve()
        with open_world(scenario, target, backends, recorder, folder) as world:
            recorder.add(
                ScenarioStarted,
                scenario=scenario.model_dump(mode="json"),
                target=target.name,
                store=backends.name if scenario.store == "s3" else "directory",
                limitations=backends.limitations,
                bucket=world.bucket.name if world.bucket else str(world.folders.store),
                staging_root=str(world.folders.staging),
                preloaded=world.preloaded,
                oracle=world.node.oracle,
            )
            triggers = Triggers(world)
            recorder.on_event(triggers.handle)
            if scenario.delivery == "run":
                _run_tasks(world)
            else:
                _run_service(world)
            _conclude(world, triggers)
    # Events that were recorded while the world was being closed are not part of the history.
    last = next(index for index, event in enumerate(recorder.events) if isinstance(event, FinalState))
    return recorder.events[: last + 1]


class Triggers:
    """Fires the triggers of a scenario immediately, in the thread that records the event."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._script = Script(world.scenario.triggers)
        self._failed: list[str] = []
        self._lock = threading.RLock()

    @property
    def unsuccessful(self) -> tuple[str, ...]:
        """The triggers whose event was never recorded, and those whose action failed."""
        return (*map(str, self._script.unfired), *self._failed)

    def handle(self, event: Event) -> None:
        """Count an event, and carry out the actions of the triggers that match it."""
        with self._lock:
            for trigger in self._script.fire(lambda trigger: trigger.matches(event)):
                try:
                    self._act(trigger, event)
                except Exception as error:  # noqa: BLE001 - in a server's thread it would become response 500
                    self._failed.append(f"{trigger}: {type(error).__name__}: {error}")

    def _act(self, trigger: Trigger, event: Event) -> None:
        world = self._world
        if trigger.do.startswith("SIG"):
            world.workers[trigger.worker].signal(trigger.do)
            return
        world.recorder.add(HarnessAction, action=trigger.do, worker=trigger.worker)
        if trigger.do == "start-worker":
            world.start(None if world.scenario.delivery == "worker" else len(world.workers))
        elif trigger.do == "age-staging":
            for path in sorted(world.folders.staging.glob("*/*")):
                staging.age(path, 100)
        elif trigger.do == "take-lease":
            world.required_platform.dispatcher.take_lease(getattr(event, "task_id", None) or world.task_id(0))
        elif trigger.do == "deny-heartbeat":
            world.required_platform.dispatcher.add_faults(
                DispatcherFault("heartbeat", "status", status=HTTPStatus.FORBIDDEN, times=1)
            )
        else:
            world.required_platform.dispatcher.cancel(getattr(event, "task_id", None) or world.task_id(0))


def _run_tasks(world: World) -> None:
    """Run one process for each task, one after the other, except for concurrent tasks."""
    scenario, recorder = world.scenario, world.recorder
    count_started_by_triggers = sum(trigger.times or 0 for trigger in scenario.triggers if trigger.do == "start-worker")
    for index, line in enumerate(scenario.tasks):
        recorder.add(TaskCreated, task=index, task_id=world.task_id(index), payload=line.value())
    for index, line in enumerate(scenario.tasks[: len(scenario.tasks) - count_started_by_triggers]):
        if index and not line.concurrent:
            _wait_for_workers(world)
        world.start(index)
    _wait_for_workers(world)


def _wait_for_workers(world: World, ended: Callable[[], bool] | None = None) -> None:
    """Wait until all workers have ended; kill them after the scenario's time limit."""

    def all_ended() -> bool:
        return all(worker.ended.is_set() for worker in world.workers)

    if not world.recorder.wait(ended or all_ended, world.scenario.patience_seconds):
        world.recorder.add(TimedOut, what="a worker did not end")
        for worker in list(world.workers):
            worker.close()


def _run_service(world: World) -> None:
    """Start workers as services, wait until the scenario is over, and stop them with SIGTERM."""
    scenario, recorder = world.scenario, world.recorder
    platform, settings = world.required_platform, scenario.platform
    for body in settings.stray:
        platform.queue.send_text(body)
    for index, line in enumerate(scenario.tasks):
        payload = line.value()
        platform.dispatcher.add_task(payload, world.task_id(index))
        recorder.add(TaskCreated, task=index, task_id=world.task_id(index), payload=payload)
    for _ in range(settings.workers):
        world.start(None)

    def over() -> bool:
        return _until_reached(world) or all(worker.ended.is_set() for worker in world.workers)

    if not recorder.wait(over, scenario.patience_seconds):
        recorder.add(TimedOut, what=f"the scenario did not reach {settings.until!r} in time")
    if settings.watch_cryo_after_end:
        # After SIGTERM the worker would stop Cryo anyway; the scenario tests whether it stops Cryo without SIGTERM.
        recorder.wait(world.watch.record_cryo_ends, CRYO_END_SECONDS)
    _stop_service(world)
    platform.record_exchanges()


def _stop_service(world: World) -> None:
    """Send SIGTERM to all workers, also to one that a trigger is just starting, and wait until they have ended."""
    told: set[int] = set()

    def ended() -> bool:
        for worker in list(world.workers):
            if worker.number not in told:
                told.add(worker.number)
                worker.signal("SIGTERM")
        return all(worker.ended.is_set() for worker in world.workers)

    _wait_for_workers(world, ended)


def _until_reached(world: World) -> bool:
    """Return whether the condition in `platform.until` is true."""
    until, platform = world.scenario.platform.until, world.required_platform
    platform.record_exchanges()
    ended = all(task.ended for task in platform.dispatcher.tasks)
    if until == "tasks-ended":
        return ended
    if until == "quiet":
        return ended and world.recorder.quiet_seconds() >= QUIET_SECONDS
    if until != "ended":
        kind, _, times = until.partition(" ")
        return sum(event.kind == kind for event in list(world.recorder.events)) >= int(times)
    return ended and bool(platform.queue.depth() + platform.queue.in_flight() == 0)


def _conclude(world: World, triggers: Triggers) -> None:
    """Record the final state."""
    recorder, scenario = world.recorder, world.scenario
    world.watch.find_detached(world.process_markers)
    recorder.wait(lambda: not world.watch.survivors(), CHILD_EXIT_SECONDS)
    world.watch.record_cryo_ends()
    unfired = [str(fault) for fault in world.proxy.unfired if not fault.may_miss]
    if world.node.pool is not None:
        unfired += [str(fault) for fault in world.node.pool.unfired_faults if not fault.may_miss]
    registered: dict[str, int] = {}
    rejected: list[tuple[str, str]] = []
    if world.platform is not None:
        world.platform.hide_tokens()
        unfired += [str(fault) for fault in world.platform.dispatcher.unfired_faults if not fault.may_miss]
        registered = {version: len(times) for version, times in world.platform.dispatcher.registered.items()}
        rejected = [(violation.clause, violation.detail) for violation in world.platform.dispatcher.violations]
    recorder.scrub_late_secrets()
    recorder.add(
        FinalState,
        objects=objects.contents(world.bucket, world.folders.store, recorder.secrets),
        staged=staging.list_entries(world.folders.staging),
        preloaded_files=staging.unchanged_files(
            world.preloaded_states, scenario, world.folders.staging, world.folders.outside, world.task_id(0)
        ),
        survivors=world.watch.survivors(),
        arguments=tuple(sorted(world.watch.arguments)),
        registered=registered,
        rejected_requests=tuple(rejected),
        unfired_faults=(*unfired, *triggers.unsuccessful),
    )
