"""The Go worker end to end: queue, dispatcher, store and node of the harness around it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from foreign.conftest import Start
from support.foreign_service import cryos_in, hanging, real, status, stop
from support.service import platform, small, until
from support.worker import BIN, CHAIN_ID, bare_cryo, expected_contents

from harness.fakes.dispatcher import TaskStatus
from harness.fakes.rpc import Node, RpcPool
from harness.faults import DispatcherFault
from harness.stores.bucket import S3Endpoint
from harness.world.chain import Chain


@pytest.mark.parametrize("form", ["documented", "lite"])
def test_pub_6_a_task_is_published_once_however_often_it_is_delivered(
    form: Any, start: Start, tmp_path: Path, cryo_moto: S3Endpoint
):
    """LAY-1 to LAY-4, PUB-1, PUB-6, LSE-1: in both claim forms, every wake-up sent three times."""
    with platform(tmp_path, cryo_moto, form=form, wakeups=3) as world, start(world) as process:
        task_id = world.machine.add_task(small())
        until(lambda: world.machine.task(task_id).ended and world.queue_is_empty())
        assert stop(process) == 0
        assert status(world, task_id) == (TaskStatus.COMPLETED, "success")
        assert [len(times) for times in world.machine.registered.values()] == [1]
        assert world.machine.violations == []
        assert world.holds_exactly(small())
        assert world.staged() == []


def test_real_mode_publishes_the_nodes_own_rows_and_no_key(start: Start, tmp_path: Path, cryo_moto: S3Endpoint):
    """MOD-4, MOD-6, SEC-1: Cryo reads the pool's node; the key in its URL is in no log line and no object."""
    key = "0123456789abcdef"
    node = Node(Chain(CHAIN_ID), head=5_000, key=key)
    with RpcPool(node) as pool, platform(tmp_path, cryo_moto) as world:
        url = f"{pool.url}/v3/{key}"
        environment = {"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": str(BIN / "fake-cryo")}
        with start(world, **environment, TRACE_RPC_POOL_MY_POOL_2_URL=url) as process:
            task_id = world.machine.add_task(small(rpc_pool="my-pool.2"))
            until(lambda: world.machine.task(task_id).ended)
            assert stop(process) == 0
        assert status(world, task_id) == (TaskStatus.COMPLETED, "success")
        files = bare_cryo("fake-cryo", tmp_path / "bare", small(), {"ETH_RPC_URL": url})
        assert world.bucket.contents() == expected_contents(small(), files)
        assert key not in (tmp_path / "log").read_text()


def test_pay_2_a_bad_payload_is_fatal_and_the_next_task_runs(start: Start, tmp_path: Path, cryo_moto: S3Endpoint):
    """PAY-2, OUT-1, PUB-3: it is reported once, naming each bad field, with nothing stored."""
    with platform(tmp_path, cryo_moto) as world, start(world):
        bad = world.machine.add_task(small(chain_id="1", range_end=0))
        until(lambda: world.machine.task(bad).ended)
        assert status(world, bad) == (TaskStatus.FAILED, "fatal_error")
        message = world.machine.task(bad).error_message or ""
        assert "chain_id" in message
        assert "range_end" in message
        assert world.bucket.contents() == {}
        good = world.machine.add_task(small())
        until(lambda: world.machine.task(good).ended)
        assert status(world, good) == (TaskStatus.COMPLETED, "success")
        assert world.machine.violations == []


def test_out_2_a_failing_cryo_is_retryable_and_its_output_redacted(start: Start, tmp_path: Path, cryo_moto: S3Endpoint):
    """OUT-2, SEC-1, PUB-3: the report holds what Cryo said, without the URL that it printed."""
    script = {"faults": [{"do": "print_url"}, {"do": "exit", "code": 1, "after_chunks": 0}]}
    with RpcPool(Node(Chain(CHAIN_ID), head=5_000, script=script)) as pool, platform(tmp_path, cryo_moto) as world:
        with start(world, **real(pool)):
            task_id = world.machine.add_task(small())
            until(lambda: world.machine.task(task_id).outcome is not None)
        assert world.machine.task(task_id).outcome == "retryable_error"
        assert "[url]" in (world.machine.task(task_id).error_message or "")
        assert pool.url not in (tmp_path / "log").read_text()
        assert world.bucket.contents() == {}


def test_lse_2_the_lease_is_kept_and_a_lost_one_stops_cryo(start: Start, tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-2, LSE-3, PUB-5: heartbeats renew it; after a 409 nothing more is asked, and Cryo and staging are gone."""
    with hanging() as pool, platform(tmp_path, cryo_moto, lease_seconds=3.0, max_attempts=1) as world:
        with start(world, **real(pool)) as process:
            task_id = world.machine.add_task(small())
            until(lambda: sum(asked.kind == "heartbeat" for asked in world.server.journal) >= 2)
            world.machine.take_lease(task_id)
            until(lambda: world.staged() == [])
            assert cryos_in(world) == []
            assert stop(process) == 0
        assert [(asked.kind, asked.status) for asked in world.server.journal][-1] == ("heartbeat", 409)
        assert world.machine.violations == []


def test_sigterm_hands_back_what_runs_and_ends_the_worker(start: Start, tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-4: the task is reported retryable, Cryo and staging are gone, and the exit code is 0."""
    with hanging() as pool, platform(tmp_path, cryo_moto) as world, start(world, **real(pool)) as process:
        task_id = world.machine.add_task(small())
        until(lambda: bool(cryos_in(world)))
        assert stop(process) == 0
        assert world.machine.task(task_id).outcome == "retryable_error"
        assert cryos_in(world) == []
        assert world.staged() == []


def test_cryo_dies_with_its_worker(start: Start, tmp_path: Path, cryo_moto: S3Endpoint):
    """STG-5: no Cryo is left of a worker that was killed."""
    with hanging() as pool, platform(tmp_path, cryo_moto) as world, start(world, **real(pool)) as process:
        world.machine.add_task(small())
        until(lambda: bool(cryos_in(world)))
        process.kill()
        process.wait()
        until(lambda: not cryos_in(world))


def test_lse_5_a_refused_claim_keeps_its_wakeup(start: Start, tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-5: after a 503 and a 401 the wake-up is still there, and the third claim is served."""
    refusals = [DispatcherFault("claim", "status", nth=nth, status=code, times=1) for nth, code in ((1, 503), (2, 401))]
    with platform(tmp_path, cryo_moto, faults=refusals) as world:
        # Before the worker polls: a poll that is under way hides what it receives for the time that was set before.
        world.queue.client.set_queue_attributes(QueueUrl=world.queue.url, Attributes={"VisibilityTimeout": "1"})
        with start(world):
            task_id = world.machine.add_task(small())
            until(lambda: world.machine.task(task_id).ended)
            assert status(world, task_id) == (TaskStatus.COMPLETED, "success")


def test_pub_6_a_lost_answer_to_the_completion_registers_once(start: Start, tmp_path: Path, cryo_moto: S3Endpoint):
    """PUB-6: the same completion is sent again until it is answered."""
    faults = [
        DispatcherFault("complete", "reset", when="after", times=1),
        DispatcherFault("complete", "status", nth=2, times=1),
    ]
    with platform(tmp_path, cryo_moto, faults=faults) as world, start(world):
        world.machine.add_task(small())
        until(lambda: sum(asked.kind == "complete" for asked in world.server.journal) == 3 and world.queue_is_empty())
        assert [len(times) for times in world.machine.registered.values()] == [1]
        assert world.machine.violations == []


def test_the_environment_is_checked_before_anything(foreign_worker: Path, tmp_path: Path):
    """MOD-1, CAP-3: every variable that is missing or wrong is named at once; the exit code is 78."""
    environment = {"TRACE_CRYO_STAGING_ROOT": str(tmp_path), "TRACE_CRYO_MODE": "maybe"}
    done = subprocess.run([foreign_worker, "worker"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    for name in ("TRACE_CRYO_MODE", "DISPATCHER_URL", "TASK_WAKEUP_QUEUE", "S3_BUCKET"):
        assert name in done.stderr
