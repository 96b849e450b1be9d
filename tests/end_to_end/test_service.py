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
