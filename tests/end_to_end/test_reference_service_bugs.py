"""The reference worker's bugs that take a dispatcher, a held directory or a Cryo that hangs to be seen."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.reference import cryos_in, hanging, real, staged_by_cryo, stop, worker
from support.service import Platform, platform, small, until

from harness.fakes.dispatcher import DispatcherFault
from harness.reference.bugs import BUG_VARIABLE
from harness.stores.bucket import S3Endpoint

BAD = small(chain_id="1")


def asked(world: Platform, kind: str) -> int:
    """Count the requests of a kind."""
    return sum(exchange.kind == kind for exchange in world.server.journal)


def violated(clause: str) -> Callable[[Platform], bool]:
    """Return whether the dispatcher has seen a clause violated."""
    return lambda world: any(violation.clause == clause for violation in world.machine.violations)


def silent(world: Platform) -> bool:
    """Tell whether the task was claimed, acknowledged and never reported."""
    return asked(world, "claim") >= 1 and world.queue_is_empty() and asked(world, "complete") == 0


@dataclass(frozen=True)
class Situation:
    """What a service meets, and what shows that it has the bug."""

    shows: Callable[[Platform], bool]
    payload: dict[str, Any] = field(default_factory=small)
    machine: dict[str, Any] = field(default_factory=dict)
    hangs: bool = False
    environment: dict[str, str] = field(default_factory=dict)


SITUATIONS = {
    "publishes-twice": Situation(violated("PUB-1")),
    "always-completed": Situation(violated("OUT-1"), BAD),
    "failure-publishes": Situation(violated("PUB-3"), BAD),
    "failures-are-silent": Situation(silent, BAD),
    "completes-twice": Situation(lambda world: asked(world, "complete") >= 2),
    "retries-a-stale-completion": Situation(
        violated("LSE-3"), machine={"faults": [DispatcherFault("complete", "take-lease")], "max_attempts": 1}
    ),
    "lite-claims-only": Situation(silent),
    "refused-claims-are-acknowledged": Situation(silent, machine={"faults": [DispatcherFault("claim", "status")]}),
    "never-renews": Situation(
        lambda world: any(task.expired_leases for task in world.machine.tasks) and asked(world, "heartbeat") == 0,
        machine={"lease_seconds": 1.5},
        hangs=True,
    ),
    "works-past-the-lease": Situation(
        violated("LSE-3"),
        machine={"faults": [DispatcherFault("heartbeat", "take-lease")], "lease_seconds": 1.5, "max_attempts": 1},
        hangs=True,
    ),
    "no-deadline": Situation(
        lambda world: asked(world, "heartbeat") >= 4,
        machine={"lease_seconds": 1.5},
        hangs=True,
        environment={"TRACE_CRYO_DEADLINE_SECONDS": "0.2"},
    ),
}


@pytest.mark.parametrize("bug", SITUATIONS)
def test_the_bug_shows_to_the_dispatcher(bug: str, tmp_path: Path, moto: S3Endpoint):
    """A service with the bug does what a good one never does."""
    situation = SITUATIONS[bug]
    with hanging() as pool, platform(tmp_path, moto, **situation.machine) as world:
        mode = real(pool) if situation.hangs else {}
        with worker(world, **mode, **situation.environment, **{BUG_VARIABLE: bug}):
            world.machine.add_task(situation.payload)
            until(lambda: situation.shows(world))


def test_an_unclaimable_wakeup_that_stays(tmp_path: Path, moto: S3Endpoint):
    """The second wake-up of a task that has ended is not deleted."""
    with platform(tmp_path, moto) as world, worker(world, **{BUG_VARIABLE: "unclaimable-wakeups-stay"}):
        task_id = world.machine.add_task(small())
        until(lambda: world.machine.task(task_id).ended and world.queue_is_empty())
        world.machine.wake(task_id)
        until(lambda: asked(world, "claim") == 2)
        assert not world.queue_is_empty()


def test_a_late_manifest(tmp_path: Path, moto: S3Endpoint):
    """When the completion arrives there is no manifest yet."""
    there: list[bool] = []
    with platform(tmp_path, moto) as world, worker(world, **{BUG_VARIABLE: "manifest-is-late"}):
        world.server.on_request(lambda request: there.append(manifest(world)) if request.kind == "complete" else None)
        world.machine.add_task(small())
        until(lambda: manifest(world) and bool(there))
        assert there == [False]


def manifest(world: Platform) -> bool:
    """Tell whether there is a manifest."""
    return any(key.endswith("_manifest.json") for key in world.bucket.contents())


def test_death_by_sigterm(tmp_path: Path, moto: S3Endpoint):
    """The signal ends the process, with its attempt's staging left behind."""
    with hanging() as pool, platform(tmp_path, moto) as world:
        with worker(world, **real(pool), **{BUG_VARIABLE: "dies-by-sigterm"}) as process:
            world.machine.add_task(small())
            until(lambda: staged_by_cryo(world))
            assert stop(process) == -signal.SIGTERM
        assert world.staged()


@pytest.mark.parametrize("bug", ["cryo-outlives-its-worker", "kills-only-the-leader"])
def test_a_process_that_is_left(bug: str, tmp_path: Path, moto: S3Endpoint):
    """Of a worker that was killed Cryo is left, and of a Cryo that was killed what it had started."""
    deadline = {"TRACE_CRYO_DEADLINE_SECONDS": "1.5"} if bug == "kills-only-the-leader" else {}
    more = [{"act": "orphan"}] if deadline else []
    with hanging(*more) as pool, platform(tmp_path, moto, max_attempts=1) as world:
        left: list[int] = []
        try:
            with worker(world, **real(pool), **deadline, **{BUG_VARIABLE: bug}) as process:
                task_id = world.machine.add_task(small())
                until(lambda: len(cryos_in(world)) > len(more))
                left = cryos_in(world)
                if deadline:
                    until(lambda: world.machine.task(task_id).ended)
                else:
                    process.kill()
                    process.wait()
            assert set(cryos_in(world)) & set(left)
        finally:
            for pid in set(cryos_in(world)) | set(left):
                kill(pid)


def kill(pid: int) -> None:
    """End a process that may have ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.parametrize(("bug", "inherited"), [("", 1), ("lock-is-not-inherited", 0)])
def test_who_has_the_lock(bug: str, inherited: int, tmp_path: Path, moto: S3Endpoint):
    """Cryo holds the attempt's directory open, and with it the lock; with the bug it does not."""
    switched = {BUG_VARIABLE: bug} if bug else {}
    with hanging() as pool, platform(tmp_path, moto) as world, worker(world, **real(pool), **switched):
        world.machine.add_task(small())
        until(lambda: any(is_cryo(pid) for pid in cryos_in(world)))
        pid = next(pid for pid in cryos_in(world) if is_cryo(pid))
        opened = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
        assert sum(path.startswith(str(world.staging)) for path in opened) == inherited


def is_cryo(pid: int) -> bool:
    """Tell whether a process is past its launcher."""
    try:
        return b"fake-cryo" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1]
    except (OSError, IndexError):
        return False


@pytest.mark.parametrize(("bug", "code"), [("", 75), ("ignores-the-staging-lock", 0)])
def test_a_held_directory(bug: str, code: int, tmp_path: Path):
    """A directory that somebody holds is refused as retryable; with the bug it is taken."""
    task_id = "0b6c3a52-3f0c-4a52-9b5c-0f0d2f3f8a11"
    held = tmp_path / "staging" / task_id / "1"
    held.mkdir(parents=True, mode=0o700)
    descriptor = os.open(held, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    command = [sys.executable, "-m", "harness.reference", "run", "-", "--task-id", task_id]
    done = subprocess.run(
        [*command, "--store", f"file://{tmp_path}/store"],
        input=json.dumps(small(range_end=520)),
        env={"PATH": os.environ["PATH"], "TRACE_CRYO_STAGING_ROOT": str(tmp_path / "staging"), BUG_VARIABLE: bug},
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(descriptor)
    assert done.returncode == code, done.stderr
