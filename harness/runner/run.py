"""One scenario from its first event to its last: workers, triggers, and an end that is waited for with a bound."""

from __future__ import annotations

import tempfile
import threading
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.faults import DispatcherFault, Script
from harness.history import Acted, Begun, Final, TaskEntered, TimedOut
from harness.runner import objects, staging
from harness.runner.recorder import Recorder
from harness.runner.world import World

if TYPE_CHECKING:
    from harness.faults import Trigger
    from harness.scenario import Scenario
    from harness.stores.backends import Backends
    from harness.targets import Target

LINGER_SECONDS = 3.0
"""How long what a worker has started may outlive it before it counts as a survivor."""
QUIET_SECONDS = 2.0
"""How long nothing must have happened for a scenario that waits until all is quiet."""
LOST_SECONDS = 8.0
"""How long a Cryo is watched whose lease is lost; by then the check of LSE-3 has its answer."""


def run(scenario: Scenario, target: Target, around: Backends, stop: threading.Event | None = None) -> list[Any]:
    """Run a scenario and return its history.

    Raises:
        Stopped: `stop` was set; all that the scenario started has ended.
    """
    recorder = Recorder(stop)
    with tempfile.TemporaryDirectory(prefix="harness-") as name:
        world = World(scenario, target, around, recorder, Path(name).resolve())
        with world:
            recorder.add(
                Begun,
                scenario=scenario.model_dump(mode="json"),
                target=target.name,
                store=around.name if scenario.store == "s3" else "directory",
                limitations=around.limitations,
                bucket=world.bucket.name if world.bucket else str(world.directory),
                staging_root=str(world.staging),
                preloaded=world.preloaded,
                oracle=world.oracle,
            )
            triggers = Triggers(world)
            recorder.on_event(triggers.hear)
            (_as_commands if scenario.delivery == "run" else _as_service)(world)
            _conclude(world, triggers)
    # What came while the world was closed belongs to no run: the history ends with its end.
    last = next(place for place, event in enumerate(recorder.events) if event.kind == "final")
    return recorder.events[: last + 1]


class Triggers:
    """Carries out a scenario's triggers at once, in the thread that records the event."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._script = Script(world.scenario.triggers)
        self._broken: list[str] = []
        self._lock = threading.RLock()

    @property
    def unfired(self) -> tuple[str, ...]:
        """The triggers whose event was never recorded, and those whose action failed."""
        return (*map(str, self._script.unfired), *self._broken)

    def hear(self, event: Any) -> None:
        """Count an event, and carry out the triggers that apply to it."""
        with self._lock:
            for trigger in self._script.fire(lambda trigger: trigger.matches(event)):
                try:
                    self._act(trigger, event)
                except Exception as error:  # noqa: BLE001 - the thread is a server's, and would answer 500 for it
                    self._broken.append(f"{trigger}: {type(error).__name__}: {error}")

    def _act(self, trigger: Trigger, event: Any) -> None:
        world = self._world
        if trigger.do.startswith("SIG"):
            world.workers[trigger.worker].signal(trigger.do)
            return
        world.recorder.add(Acted, action=trigger.do, worker=trigger.worker)
        if trigger.do == "start-worker":
            world.start(None if world.scenario.delivery == "worker" else len(world.workers))
        elif trigger.do == "age-staging":
            for path in sorted(world.staging.glob("*/*")):
                staging.age(path, 100)
        elif trigger.do == "take-lease":
            world.machine.take_lease(getattr(event, "task_id", None) or world.task_id(0))
        elif trigger.do == "deny-heartbeat":
            world.machine.add_faults(DispatcherFault("heartbeat", "status", status=HTTPStatus.FORBIDDEN, times=1))
        else:
            world.machine.cancel(getattr(event, "task_id", None) or world.task_id(0))


def _as_commands(world: World) -> None:
    """Run one process a task, one after the other save those that are concurrent."""
    scenario, recorder = world.scenario, world.recorder
    started_by_trigger = sum(trigger.times or 0 for trigger in scenario.triggers if trigger.do == "start-worker")
    for place, line in enumerate(scenario.tasks):
        recorder.add(TaskEntered, task=place, task_id=world.task_id(place), payload=line.value())
    for place, line in enumerate(scenario.tasks[: len(scenario.tasks) - started_by_trigger]):
        if place and not line.concurrent:
            _all_ended(world)
        world.start(place)
    _all_ended(world)


def _all_ended(world: World) -> None:
    def ended() -> bool:
        return all(worker.ended.is_set() for worker in world.workers)

    if not world.recorder.wait(ended, world.scenario.patience_seconds):
        world.recorder.add(TimedOut, what="a worker did not end")
        for worker in list(world.workers):
            worker.close()


def _as_service(world: World) -> None:
    scenario, recorder = world.scenario, world.recorder
    told = scenario.platform
    for body in told.stray:
        world.queue.send_text(body)
    for place, line in enumerate(scenario.tasks):
        payload = line.value()
        world.machine.add_task(payload, world.task_id(place))
        recorder.add(TaskEntered, task=place, task_id=world.task_id(place), payload=payload)
    for _ in range(told.workers):
        world.start(None)

    def dead() -> bool:
        return _over(world) or all(worker.ended.is_set() for worker in world.workers)

    if not recorder.wait(dead, scenario.patience_seconds):
        recorder.add(TimedOut, what=f"until {told.until}")
    if {"LSE-3", "LSE-5"} & set(scenario.clauses):
        # Told to end, the worker would end its Cryo: what it does of itself is the question.
        recorder.wait(world.watch.no_cryo_lives, LOST_SECONDS)
    for worker in list(world.workers):
        worker.signal("SIGTERM")
    _all_ended(world)
    world.write_exchanges()


def _over(world: World) -> bool:
    """Tell whether what the scenario waits for has come."""
    until = world.scenario.platform.until
    world.write_exchanges()
    ended = all(task.ended for task in world.machine.tasks)
    if until == "settled":
        return ended
    if until == "quiet":
        return ended and world.recorder.quiet_seconds() >= QUIET_SECONDS
    if until != "ended":
        kind, _, times = until.partition(" ")
        came = [event for event in list(world.recorder.events) if event.kind == kind]
        return len(came) >= int(times)
    return ended and bool(world.queue.depth() + world.queue.in_flight() == 0)


def _conclude(world: World, triggers: Triggers) -> None:
    recorder, scenario = world.recorder, world.scenario
    world.watch.adopt(world.marks)
    recorder.wait(lambda: not world.watch.survivors(), LINGER_SECONDS)
    world.watch.no_cryo_lives()
    unfired = [str(fault) for fault in world.proxy.unfired]
    if world.pool is not None:
        unfired += [str(fault) for fault in world.pool.unfired_faults if not fault.may_miss]
    registered: dict[str, int] = {}
    refused: list[tuple[str, str]] = []
    if world.server is not None:
        world.hide_tokens()
        unfired += [str(fault) for fault in world.machine.unfired_faults if not fault.may_miss]
        registered = {version: len(times) for version, times in world.machine.registered.items()}
        refused = [(violation.clause, violation.detail) for violation in world.machine.violations]
    recorder.scrub_again()
    recorder.add(
        Final,
        objects=objects.contents(world.bucket, world.directory, recorder.secrets),
        staged=staging.look(world.staging),
        preloaded_files=staging.untouched(world.file_states, scenario, world.staging, world.outside, world.task_id(0)),
        survivors=world.watch.survivors(),
        arguments=tuple(sorted(world.watch.arguments)),
        registered=registered,
        refused=tuple(refused),
        unfired_faults=(*unfired, *triggers.unfired),
    )
