import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.reference import cryos_in, hanging, real, staged_by_cryo, status, stop, worker
from support.service import platform, small, until

from harness.fakes.dispatcher import TaskStatus
from harness.faults import DispatcherFault
from harness.stores.bucket import S3Endpoint


@pytest.mark.parametrize("form", ["documented", "lite"])
def test_pub_5_a_task_is_published_once_and_acknowledged(form: Any, tmp_path: Path, cryo_moto: S3Endpoint):
    """PUB-5, PUB-6, LSE-1, LSE-4: the straight path in both claim forms, with every wake-up sent twice."""
    with platform(tmp_path, cryo_moto, form=form, wakeups=2) as world, worker(world) as process:
        task_id = world.machine.add_task(small())
        until(lambda: world.machine.task(task_id).ended and world.queue_is_empty())
        assert stop(process) == 0
        assert status(world, task_id) == (TaskStatus.COMPLETED, "success")
        assert [len(times) for times in world.machine.registered.values()] == [1]
        assert world.machine.violations == []
        assert world.holds_exactly(small())
        assert world.staged() == []


def test_pay_2_a_bad_payload_is_reported_fatal(tmp_path: Path, cryo_moto: S3Endpoint):
    """PAY-2, OUT-1, PUB-3: it is reported once, with the field's name and no publication."""
    with platform(tmp_path, cryo_moto) as world, worker(world):
        task_id = world.machine.add_task(small(chain_id="1"))
        until(lambda: world.machine.task(task_id).ended)
        assert status(world, task_id) == (TaskStatus.FAILED, "fatal_error")
        assert "chain_id" in (world.machine.task(task_id).error_message or "")
        assert world.machine.violations == []


def test_lse_2_the_lease_is_kept_while_cryo_runs_and_a_lost_one_stops_it(tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-2, LSE-3: heartbeats renew; after a 409 nothing more is asked and the staging goes."""
    with hanging() as pool, platform(tmp_path, cryo_moto, lease_seconds=3.0, max_attempts=1) as world:
        with worker(world, **real(pool)) as process:
            task_id = world.machine.add_task(small())
            until(lambda: sum(asked.kind == "heartbeat" for asked in world.server.journal) >= 2)
            world.machine.take_lease(task_id)
            until(lambda: world.staged() == [])
            assert stop(process) == 0
        kinds = [(asked.kind, asked.status) for asked in world.server.journal]
        assert kinds[-1] == ("heartbeat", 409)
        assert world.machine.violations == []


def test_lse_4_a_hanging_task_is_handed_back(tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-4: on SIGTERM what can't be finished within the grace is reported retryable, and the process ends with 0."""
    with hanging() as pool, platform(tmp_path, cryo_moto) as world:
        with worker(world, **real(pool), TRACE_SHUTDOWN_GRACE_SECONDS="1.5") as process:
            task_id = world.machine.add_task(small())
            until(lambda: staged_by_cryo(world))
            assert stop(process) == 0
        assert world.machine.task(task_id).outcome == "retryable_error"
        assert world.staged() == []


def test_stg_5_cryo_dies_with_its_worker(tmp_path: Path, cryo_moto: S3Endpoint):
    """STG-5: no Cryo is left of a worker that was killed."""
    with hanging() as pool, platform(tmp_path, cryo_moto) as world, worker(world, **real(pool)) as process:
        world.machine.add_task(small())
        until(lambda: bool(cryos_in(world)))
        process.kill()
        process.wait()
        until(lambda: not cryos_in(world))


def test_lse_5_a_refused_claim_keeps_its_wakeup(tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-5: after a 503 and a 401 the wake-up is still there, and the third claim is served."""
    faults = [
        DispatcherFault("claim", "status", status=503, times=1),
        DispatcherFault("claim", "status", nth=2, status=401, times=1),
    ]
    with platform(tmp_path, cryo_moto, faults=faults) as world, worker(world):
        world.queue.client.set_queue_attributes(QueueUrl=world.queue.url, Attributes={"VisibilityTimeout": "1"})
        task_id = world.machine.add_task(small())
        until(lambda: world.machine.task(task_id).ended)
        assert status(world, task_id) == (TaskStatus.COMPLETED, "success")


def test_pub_6_a_lost_answer_to_the_completion_registers_once(tmp_path: Path, cryo_moto: S3Endpoint):
    """PUB-6: the same completion is sent again, and the version is registered once."""
    faults = [
        DispatcherFault("complete", "reset", when="after", times=1),
        DispatcherFault("complete", "status", nth=2, times=1),
    ]
    with platform(tmp_path, cryo_moto, faults=faults) as world, worker(world):
        world.machine.add_task(small())
        until(lambda: sum(asked.kind == "complete" for asked in world.server.journal) == 3 and world.queue_is_empty())
        assert [len(times) for times in world.machine.registered.values()] == [1]
        assert world.machine.violations == []


@pytest.mark.parametrize("cheat", ["success", "canned", "copies"])
def test_a_cheater_leaves_no_version(cheat: str, tmp_path: Path, cryo_moto: S3Endpoint):
    """Whatever a adversarial_worker reports, what its task called for is not in the store."""
    with platform(tmp_path, cryo_moto) as world, worker(world, "harness.reference.adversarial", cheat, "worker"):
        world.bucket.put("cryo/other/file.parquet", b"PAR1")
        world.machine.add_task(small())
        until(lambda: any(asked.kind == "complete" for asked in world.server.journal))
        assert not world.holds_exactly(small())


def test_the_environment_is_checked_before_anything(tmp_path: Path):
    """A service without its dispatcher ends with 78 and names what is missing."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.reference", "worker"],
        env={"PATH": os.environ["PATH"], "TRACE_CRYO_STAGING_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert "DISPATCHER_URL" in done.stderr
