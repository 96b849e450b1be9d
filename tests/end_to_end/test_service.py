"""The service over the real wire: a worker process, moto's SQS and S3, the fake dispatcher. One law a test."""

import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from support.processes import command_lines
from support.service import Platform, Service, platform, small, until
from support.worker import CHAIN_ID, prefix_of

from harness.fakes.dispatcher import DispatcherRequest
from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import RpcPool
from harness.faults import DispatcherFault
from harness.faults.rpc import Hang
from harness.stores.bucket import S3Endpoint
from harness.world.chain import Chain

SHORT_LEASE_SECONDS = 2.5
"""Lost 1.5 s after the last renewal at the earliest; renewed every 0.8 s."""


@pytest.fixture
def world(tmp_path: Path, cryo_moto: S3Endpoint) -> Iterator[Platform]:
    """A platform with the defaults."""
    with platform(tmp_path, cryo_moto) as made:
        yield made


@pytest.fixture
def hurried(tmp_path: Path, cryo_moto: S3Endpoint) -> Iterator[Platform]:
    """A platform with short leases."""
    with platform(tmp_path, cryo_moto, lease_seconds=SHORT_LEASE_SECONDS, backoff_seconds=0.1) as made:
        yield made


@pytest.fixture
def endless() -> Iterator[tuple[RpcPool, threading.Event]]:
    """An endpoint on which no Cryo ever ends, and the event of one having begun."""
    begun = threading.Event()
    node = Node(Chain(CHAIN_ID), head=1_000_000)
    with RpcPool(node, [Hang(method="harness_script")]) as pool:
        pool.on_fault(begun.set)
        yield pool, begun


def on(pool: RpcPool) -> dict[str, str]:
    """Return the environment in which that endpoint is the pool `endless`; whoever drains does not wait for it long."""
    real = {"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": "fake-cryo", "TRACE_RPC_POOL_ENDLESS_URL": pool.url}
    return real | {"TRACE_SHUTDOWN_GRACE_SECONDS": "1.5"}


def endlessly() -> dict[str, Any]:
    """Return a payload whose Cryo never ends."""
    return small(rpc_pool="endless")


def kinds(world: Platform) -> list[str | None]:
    """Return what was asked of the dispatcher, heartbeats aside."""
    return [exchange.kind for exchange in world.server.journal if exchange.kind != "heartbeat"]


def registrations(world: Platform) -> list[int]:
    """Return how often each version was registered."""
    return [len(times) for times in world.machine.registered.values()]


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("form", ["documented", "lite"])
def test_out_1_a_task_is_claimed_published_reported_once_and_acknowledged(
    form: str, tmp_path: Path, cryo_moto: S3Endpoint
):
    """OUT-1, PUB-5, PUB-6, STG-3, LSE-1, LSE-4: the straight path in both forms, and a clean end."""
    with platform(tmp_path, cryo_moto, form=form) as world, world.service() as service:
        task_id = world.machine.add_task(small())
        reported = service.wait_for("attempt.reported")
        until(world.queue_is_empty)
        assert service.stop() == 0
        assert (reported["task_id"], reported["attempt"], reported["outcome"]) == (task_id, 1, "success")
        assert (reported["dataset"], reported["range"]) == ("blocks", "500:2000")
        assert registrations(world) == [1]
        assert kinds(world) == ["claim", "complete"]
        assert world.machine.violations == []
        assert world.holds_exactly(small())
        assert world.staged() == []


def test_pub_5_a_task_cancelled_before_its_completion_publishes_nothing_and_is_not_retried(world: Platform):
    """PUB-5: one completion, answered 409, and then silence; the wake-up is gone."""
    world.machine.add_faults(DispatcherFault("complete", "cancel", times=1))
    with world.service() as service:
        world.machine.add_task(small())
        assert service.wait_for("attempt.lease_lost")["fenced"]
        until(world.queue_is_empty)
        assert service.stop() == 0
    assert kinds(world) == ["claim", "complete"]
    assert registrations(world) == []
    assert world.machine.violations == []
    assert world.staged() == []


def test_pub_6_a_version_is_registered_once_however_often_its_task_is_delivered(tmp_path: Path, cryo_moto: S3Endpoint):
    """PUB-6, LSE-1: three deliveries of each wake-up to two workers of two slots each."""
    with platform(tmp_path, cryo_moto, wakeups=3) as world:
        payloads = [small(range_start=start, range_end=start + 10) for start in range(0, 60, 10)]
        with world.service(TRACE_WORKER_CONCURRENCY="2") as one, world.service(TRACE_WORKER_CONCURRENCY="2") as other:
            tasks = [world.machine.add_task(payload) for payload in payloads]
            until(lambda: all(world.machine.task(task).ended for task in tasks) and world.queue_is_empty())
            assert (one.stop(), other.stop()) == (0, 0)
        assert registrations(world) == [1] * len(payloads)
        assert world.machine.violations == []
        assert len(one.named("attempt.reported") + other.named("attempt.reported")) == len(payloads)


@pytest.mark.parametrize("action", ["reset", "status"])
def test_pub_6_a_completion_whose_answer_was_lost_is_asked_again_and_registers_once(action: Any, world: Platform):
    """PUB-6, OUT-1: the dispatcher took it and the worker was not told, so it asks with the same body."""
    world.machine.add_faults(DispatcherFault("complete", action, when="after", times=2))
    with world.service() as service:
        world.machine.add_task(small())
        service.wait_for("attempt.reported")
        assert service.stop() == 0
    asked = [exchange.request for exchange in world.server.journal if exchange.kind == "complete"]
    assert len(asked) == 3
    assert asked[0] == asked[1] == asked[2]
    assert registrations(world) == [1]
    assert world.machine.violations == []


def test_out_1_a_bad_payload_is_reported_once_as_fatal_and_the_next_task_runs(world: Platform):
    """OUT-1, PAY-2: the platform learns each bad field; nothing is stored or published; no second attempt."""
    with world.service() as service:
        bad = world.machine.add_task(small(chain_id="1"))
        good = world.machine.add_task(small())
        until(lambda: world.machine.task(good).ended)
        until(world.queue_is_empty)
        assert service.stop() == 0
    task = world.machine.task(bad)
    assert [report.outcome for report in task.reports] == ["fatal_error"]
    assert "chain_id" in str(task.error_message)
    assert world.machine.task(good).outcome == "success"
    assert world.machine.violations == []


def test_out_1_a_refused_report_is_logged_as_a_bug_without_its_values(hurried: Platform):
    """OUT-1, SEC-1: a 400 is not asked again; the body's shape is logged; after the lease another attempt runs."""
    hurried.machine.add_faults(DispatcherFault("complete", "status", status=400, times=1))
    with hurried.service() as service:
        hurried.machine.add_task(small())
        refused = service.wait_for("attempt.report_rejected")
        assert refused["body"]["lease_token"] == "text of 64"
        assert refused["body"]["datasets_published"][0]["range_end"] == "int"
        service.wait_for("attempt.reported")
        assert service.stop() == 0
    assert [exchange.attempt for exchange in hurried.server.journal if exchange.kind == "complete"] == [1, 2]
    assert registrations(hurried) == [1]


def test_stg_8_a_failed_attempts_directory_is_deleted_after_its_report(world: Platform):
    """STG-8: it is there when the report arrives, and gone soon after; one of a dead worker is swept at the start."""
    old = world.staging / str(uuid.uuid4()) / "1"
    old.mkdir(parents=True)
    seen: list[list[str]] = []

    def look(request: DispatcherRequest) -> None:
        if request.kind == "complete":
            seen.append(world.staged())

    world.server.on_request(look)
    with world.service(S3_BUCKET="no-such-bucket-here", TRACE_CRYO_STAGING_TTL_HOURS="0") as service:
        task = world.machine.add_task(small())
        service.wait_for("attempt.reported")
        until(lambda: world.staged() == [])
        assert service.stop() == 0
    assert seen == [[f"{task}/1"]]
    assert world.machine.task(task).outcome == "fatal_error"


@pytest.mark.parametrize("form", ["documented", "lite"])
def test_lse_1_what_is_not_to_be_had_or_is_no_wake_up_is_acknowledged(form: str, tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-1: an unknown task, a task that is over and messages of all kinds; the service takes the next."""
    with platform(tmp_path, cryo_moto, form=form) as world, world.service() as service:
        for body in ("not JSON", "{}", '{"task_id": "nobody"}'):
            world.queue.send_text(body)
        world.queue.send(str(uuid.uuid4()))
        task = world.machine.add_task(small())
        service.wait_for("attempt.reported")
        world.machine.wake(task)
        service.wait_for("claim.not_claimed", times=2)
        until(world.queue_is_empty)
        assert service.stop() == 0
        counted = {"malformed": 3, "not_claimed": 2, "attempts": 1, "running": 0}
        assert service.named("service.stopped")[0].items() >= counted.items()
        assert kinds(world).count("complete") == 1
        assert world.machine.violations == []


def test_lse_2_the_lease_is_renewed_while_the_attempt_runs(hurried: Platform, endless: tuple[RpcPool, threading.Event]):
    """LSE-2, LSE-3: renewed beyond its term; when the task is cancelled Cryo is stopped and nothing reported."""
    pool, begun = endless
    with hurried.service(**on(pool)) as service:
        task = hurried.machine.add_task(endlessly())
        assert begun.wait(20)
        service.wait_for("lease.renewed", times=3)
        hurried.machine.cancel(task)
        assert service.wait_for("attempt.lease_lost")["fenced"]
        until(hurried.queue_is_empty)
        until(lambda: hurried.staged() == [])
        assert service.stop() == 0
    assert kinds(hurried) == ["claim"]
    assert hurried.machine.task(task).expired_leases == 0
    assert hurried.bucket.contents() == {}
    assert hurried.machine.violations == []


def test_lse_3_without_heartbeat_answers_the_attempt_ends_before_its_lease(
    hurried: Platform, endless: tuple[RpcPool, threading.Event]
):
    """LSE-3: the attempt is stopped by the worker's own clock while the dispatcher still counts it as running."""
    pool, begun = endless
    hurried.machine.add_faults(DispatcherFault("heartbeat", "hang"))
    with hurried.service(**on(pool)) as service:
        task = hurried.machine.add_task(endlessly())
        assert begun.wait(20)
        lost = service.wait_for("attempt.lease_lost")
        assert hurried.machine.task(task).expired_leases == 0
        assert not lost["fenced"]
        assert service.stop() == 0
    assert kinds(hurried)[0] == "claim"
    assert "complete" not in kinds(hurried)
    assert hurried.bucket.contents() == {}


def test_lse_4_the_first_signal_takes_nothing_new_and_finishes_what_runs(world: Platform):
    """LSE-4: SIGTERM arrives with the completion; the attempt is reported, a second task stays in the queue; exit 0."""
    stop = threading.Event()
    world.server.on_request(lambda request: stop.set() if request.kind == "claim" else None)
    with world.service() as service:
        first = world.machine.add_task(small())
        assert stop.wait(20)
        code = service.stop()
        second = world.machine.add_task(small(config_hash="other"))
    assert code == 0
    assert world.machine.task(first).outcome == "success"
    assert world.machine.task(second).attempt == 0
    assert world.queue.depth() == 1
    assert world.staged() == []
    assert service.named("service.stopped")[0]["clean"]


def test_lse_4_what_would_not_end_in_time_is_handed_back_as_retryable(
    world: Platform, endless: tuple[RpcPool, threading.Event]
):
    """LSE-4: stopped within the grace, reported, its staging gone, its message deleted; exit 0."""
    pool, begun = endless
    with world.service(**on(pool)) as service:
        task = world.machine.add_task(endlessly())
        assert begun.wait(20)
        assert service.stop() == 0
    assert world.machine.task(task).outcome == "retryable_error"
    assert service.named("attempt.failed")[0]["error"] == "AttemptStopped"
    assert world.staged() == []
    assert world.bucket.contents() == {}


@pytest.mark.parametrize("action", ["status", "reset"])
def test_lse_5_a_claim_without_an_answer_keeps_the_wake_up_and_is_made_again(action: Any, world: Platform):
    """LSE-5: the message comes back after the pause, and the task is done."""
    world.machine.add_faults(DispatcherFault("claim", action, times=1))
    with world.service() as service:
        task = world.machine.add_task(small())
        service.wait_for("claim.unavailable")
        service.wait_for("attempt.reported")
        until(world.queue_is_empty)
        assert service.stop() == 0
    assert world.machine.task(task).outcome == "success"
    assert world.machine.violations == []


def test_lse_5_a_claim_whose_answer_was_lost_runs_out_and_the_task_is_done_by_the_next_attempt(hurried: Platform):
    """LSE-1, LSE-5: nobody works under a lease that nobody was told of; its end sends a new wake-up."""
    hurried.machine.add_faults(DispatcherFault("claim", "reset", when="after", times=1))
    with hurried.service() as service:
        task = hurried.machine.add_task(small())
        assert service.wait_for("attempt.reported")["attempt"] == 2
        assert service.stop() == 0
    assert hurried.machine.task(task).expired_leases == 1
    assert registrations(hurried) == [1]
    assert hurried.machine.violations == []


@pytest.mark.parametrize("form", ["documented", "lite"])
def test_lse_1_unknown_fields_in_answers_change_nothing(form: str, tmp_path: Path, cryo_moto: S3Endpoint):
    """The wire: a platform that is newer than its workers is understood."""
    faults = [DispatcherFault(kind, "unknown-fields") for kind in ("claim", "heartbeat", "complete")]
    with platform(tmp_path, cryo_moto, form=form, faults=faults) as world, world.service() as service:
        world.machine.add_task(small())
        assert service.wait_for("attempt.reported")["outcome"] == "success"
        assert service.stop() == 0
        assert registrations(world) == [1]


def test_lse_3_the_dispatchers_clock_may_jump(hurried: Platform, endless: tuple[RpcPool, threading.Event]):
    """LSE-3: a day ahead at a heartbeat; the old lease has ended there, and the worker is told so by a 409."""
    pool, begun = endless
    hurried.machine.add_faults(DispatcherFault("heartbeat", "jump", seconds=86_400, times=1))
    with hurried.service(**on(pool)) as service:
        hurried.machine.add_task(endlessly())
        assert begun.wait(20)
        assert service.wait_for("attempt.lease_lost")["fenced"]
        assert service.stop() == 0
    assert hurried.bucket.contents() == {}


def test_lse_5_with_its_token_refused_a_worker_is_not_ready_and_deletes_nothing(world: Platform):
    """LSE-5: ready before, 503 after; the wake-up is still in the queue when the worker has ended."""
    world.machine.rotate_token()
    old = world.environment(TRACE_WORKER_TOKEN="0ld-t0ken-canary", TRACE_HEALTH_ADDR="0")
    with Service(old) as service:
        health = f"http://127.0.0.1:{service.wait_for('health.listening')['port']}"
        until(lambda: get(f"{health}/readyz") == HTTPStatus.OK)
        world.machine.add_task(small())
        service.wait_for("claim.unavailable")
        assert get(f"{health}/readyz") == HTTPStatus.SERVICE_UNAVAILABLE
        assert get(f"{health}/healthz") == HTTPStatus.OK
        assert service.stop() == 0
    assert not world.queue_is_empty()
    assert "canary" not in "".join(service.lines)


def test_one_attempts_failure_never_touches_another(world: Platform, endless: tuple[RpcPool, threading.Event]):
    """Concurrency: while one attempt hangs and others fail or succeed, each is reported as what it is."""
    pool, begun = endless
    node = Node(Chain(CHAIN_ID), head=1_000_000)
    several = {"TRACE_WORKER_CONCURRENCY": "3"} | on(pool)
    with RpcPool(node) as healthy, world.service(**several, TRACE_CRYO_RPC_URL=healthy.url) as service:
        hanging = world.machine.add_task(endlessly())
        assert begun.wait(20)
        bad = world.machine.add_task(small(cryo_dataset_name="balances"))
        good = world.machine.add_task(small(range_start=0, range_end=200))
        until(lambda: world.machine.task(bad).ended and world.machine.task(good).ended)
        assert world.machine.task(hanging).reports == []
        assert service.stop() == 0
    outcomes = [world.machine.task(task).outcome for task in (hanging, bad, good)]
    assert outcomes == ["retryable_error", "fatal_error", "success"]
    by_task = {event["task_id"]: event["range"] for event in service.named("attempt.claimed")}
    for event in service.events:
        if "range" in event:
            assert event["range"] == by_task[event["task_id"]], "an event carries the fields of another attempt"


def secrets_of(world: Platform) -> list[str]:
    """Return every worker token and capability that was ever given out."""
    return [secret for label, secret in world.machine.secrets.items() if not label.startswith("lease")]


def test_sec_1_sec_2_no_token_is_in_any_log_message_object_or_argument(hurried: Platform):
    """SEC-1, SEC-2: after a success, a failure, a refused report and a lost answer."""
    arguments: set[bytes] = set()

    def look(_: DispatcherRequest) -> None:
        arguments.update(command_lines().values())

    hurried.server.on_request(look)
    hurried.machine.add_faults(
        DispatcherFault("complete", "status", status=400, times=1),
        DispatcherFault("complete", "reset", nth=2, when="after", times=1),
    )
    with hurried.service(TRACE_WORKER_CONCURRENCY="2") as service:
        hurried.machine.add_task(small())
        hurried.machine.add_task(small(chain_id=0))
        until(lambda: all(task.ended for task in hurried.machine.tasks))
        assert service.stop() == 0
    assert any(b"fake-cryo" in command or b"cryo-ingest" in command for command in arguments)
    messages = [str(report.error_message) for task in hurried.machine.tasks for report in task.reports]
    stored = hurried.bucket.contents()
    places = ["".join(service.lines), *messages, *map(repr, stored.values()), *map(repr, arguments)]
    places += [repr(hurried.bucket.metadata(key)) for key in stored]
    assert len(secrets_of(hurried)) >= 4
    for secret in secrets_of(hurried):
        assert [place for place in places if secret in place] == []
    assert all(key.startswith(prefix_of(small())) for key in stored)
