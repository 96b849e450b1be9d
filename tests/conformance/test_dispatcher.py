"""One suite for the dispatcher, in process, simulated and over HTTP: the requests of a worker and their answers."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.simulated import simulated_bench

from harness.contract import dataset_version, prefix
from harness.fakes.dispatcher import Dispatcher, DispatcherRequest, DispatcherServer, ManualClock, TaskStatus
from harness.simulate.bench import Bench
from harness.simulate.http import HttpAnswer
from harness.simulate.loop import run_virtually

PAYLOAD: dict[str, Any] = {
    "dataset_uuid": "7F3C5C1E-6a0e-4f0e-9d7e-2f6a3b1c9d10",
    "dataset_key": "eth_logs",
    "chain_id": 1,
    "cryo_dataset_name": "logs",
    "rpc_pool": "mainnet",
    "range_start": 0,
    "range_end": 1000,
    "config_hash": "v1",
}
OTHER_ID = "11111111-2222-4333-8444-555555555555"

Post = Callable[[str, dict[str, str], Any], tuple[int, dict[str, Any], dict[str, str]]]


def bytes_of(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@dataclass
class Wire:
    """A dispatcher with a manual clock, a queue that records wake-ups, and a function that sends requests."""

    dispatcher: Dispatcher
    clock: ManualClock
    woken: list[str]
    post: Post

    def claim(self, task_id: str, *, token: str | None = None) -> tuple[int, dict[str, Any]]:
        """Claim a task."""
        headers = {"X-Trace-Worker-Token": token or self.dispatcher.worker_token}
        return self.post("/internal/task-claim", headers, {"task_id": task_id, "worker_id": "w1"})[:2]

    def heartbeat(self, claimed: dict[str, Any], task_id: str) -> tuple[int, dict[str, Any]]:
        """Renew a lease."""
        return self._send("/v1/task/heartbeat", claimed, {"task_id": task_id})

    def complete(self, claimed: dict[str, Any], task_id: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Report an attempt, a success unless the fields say otherwise."""
        return self._send("/v1/task/complete", claimed, success(task_id) | fields)

    def _send(self, path: str, claimed: dict[str, Any], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {"X-Trace-Task-Capability": claimed["capability_token"]}
        return self.post(path, headers, {"attempt": claimed["attempt"], "lease_token": claimed["lease_token"]} | body)[
            :2
        ]

    @property
    def clauses(self) -> list[str]:
        """The clauses that were broken, in order."""
        return [violation.clause for violation in self.dispatcher.violations]


class Wakeups:
    """A queue that records wake-ups."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, task_id: str) -> None:
        """Record a wake-up."""
        self.sent.append(task_id)


@pytest.fixture(params=["in process", "simulated", "http"])
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wire]:
    clock, queue = ManualClock(), Wakeups()
    dispatcher = Dispatcher(queue=queue, clock=clock, lease_seconds=60, max_attempts=2, bucket="trace")
    if request.param == "in process":
        yield Wire(dispatcher, clock, queue.sent, in_process(dispatcher))
        return
    if request.param == "simulated":
        yield Wire(dispatcher, clock, queue.sent, simulated(simulated_bench(tmp_path, dispatcher)))
        return
    with DispatcherServer(dispatcher) as server:
        yield Wire(dispatcher, clock, queue.sent, over_http(server.url))


def in_process(dispatcher: Dispatcher) -> Post:
    def post(path: str, headers: dict[str, str], body: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        lower = {name.lower(): value for name, value in headers.items()}
        delivery = dispatcher.handle(DispatcherRequest("POST", path, lower, bytes_of(body)))
        return delivery.answer.status, dict(delivery.answer.body), {}

    return post


def simulated(bench: Bench) -> Post:
    def post(path: str, headers: dict[str, str], body: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        async def ask() -> HttpAnswer:
            return await bench.post(path, headers, bytes_of(body))

        answer = run_virtually(ask())
        return answer.status, json.loads(answer.body), {name.title(): value for name, value in answer.headers.items()}

    return post


def over_http(url: str) -> Post:
    async def ask(path: str, headers: dict[str, str], body: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url + path, headers=headers, data=bytes_of(body)) as answer,
        ):
            return answer.status, await answer.json(), dict(answer.headers)

    return lambda path, headers, body: asyncio.run(ask(path, headers, body))


def publication() -> dict[str, Any]:
    return {
        "dataset_uuid": PAYLOAD["dataset_uuid"].lower(),
        "dataset_version": dataset_version(PAYLOAD),
        "storage_ref": {"scheme": "s3", "bucket": "trace", "prefix": prefix(PAYLOAD), "glob": "*.parquet"},
        "config_hash": "v1",
        "range_start": 0,
        "range_end": 1000,
    }


def success(task_id: str) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "status": "Completed",
        "outcome": "success",
        "events": [],
        "outputs": [],
        "datasets_published": [publication()],
        "error_message": None,
    }


def failure(outcome: str) -> dict[str, Any]:
    return {"status": "Failed", "outcome": outcome, "datasets_published": [], "error_message": "it failed"}


def test_a_task_is_claimed_renewed_and_completed_once(wire: Wire):
    """LSE-1, LSE-2, PUB-1, PUB-6: one version is registered, and a later claim is answered with `Completed`."""
    task_id = wire.dispatcher.add_task(PAYLOAD)
    assert wire.woken == [task_id]
    status, claimed = wire.claim(task_id)
    assert (status, claimed["status"], claimed["attempt"], claimed["task"]["config"]) == (200, "Claimed", 1, PAYLOAD)
    assert wire.claim(task_id) == (200, {"status": "NotClaimed", "reason": "AlreadyRunning"})
    wire.clock.advance(50)
    assert wire.heartbeat(claimed, task_id)[0] == 200
    wire.clock.advance(50)
    assert wire.complete(claimed, task_id)[0] == 200
    assert wire.complete(claimed, task_id)[0] == 200, "a worker repeats a request whose answer was lost"
    assert wire.claim(task_id) == (200, {"status": "NotClaimed", "reason": "Completed"})
    assert {version: len(times) for version, times in wire.dispatcher.registered.items()} == {
        dataset_version(PAYLOAD): 1
    }
    assert wire.dispatcher.task(task_id).status is TaskStatus.COMPLETED
    assert wire.clauses == []


def test_the_lite_form_answers_409_if_a_task_cannot_be_claimed(wire: Wire):
    """The wire: platforms use both forms of the claim."""
    wire.dispatcher.form = "lite"
    task_id = wire.dispatcher.add_task(PAYLOAD)
    status, claimed = wire.claim(task_id)
    assert (status, claimed["task_id"], claimed["work_payload"]) == (200, task_id, PAYLOAD)
    assert [wire.claim(task_id)[0], wire.claim(OTHER_ID)[0]] == [409, 409]
    assert wire.clauses == []


def test_when_a_lease_ends_its_attempt_is_fenced_and_the_task_queued_again(wire: Wire):
    """LSE-3, PUB-5: the first stale request is no violation, every later one is."""
    task_id = wire.dispatcher.add_task(PAYLOAD)
    _, stale = wire.claim(task_id)
    wire.clock.advance(60)
    assert wire.dispatcher.task(task_id).status is TaskStatus.QUEUED
    assert wire.woken == [task_id, task_id]
    _, fresh = wire.claim(task_id)
    assert fresh["attempt"] == 2
    assert wire.heartbeat(stale, task_id)[0] == 409
    assert wire.clauses == []
    assert wire.complete(stale, task_id)[0] == 409
    assert wire.clauses == ["LSE-3"]
    assert wire.complete(fresh, task_id)[0] == 200


def test_a_retryable_error_is_retried_after_a_backoff_up_to_a_limit_and_a_fatal_one_never(wire: Wire):
    """OUT-1: the platform decides whether there is another attempt."""
    task_id = wire.dispatcher.add_task(PAYLOAD)
    _, claimed = wire.claim(task_id)
    assert wire.complete(claimed, task_id, **failure("retryable_error"))[0] == 200
    assert wire.claim(task_id)[1]["reason"] == "AlreadyRunning"
    wire.clock.advance(1)
    wire.dispatcher.tick()
    assert wire.woken == [task_id, task_id]
    _, claimed = wire.claim(task_id)
    assert wire.complete(claimed, task_id, **failure("retryable_error"))[0] == 200
    assert wire.dispatcher.task(task_id).status is TaskStatus.FAILED, "two attempts are the limit"
    other = wire.dispatcher.add_task(PAYLOAD)
    _, claimed = wire.claim(other)
    assert wire.complete(claimed, other, **failure("fatal_error"))[0] == 200
    assert wire.dispatcher.task(other).status is TaskStatus.FAILED
    assert wire.dispatcher.registered == {}


def test_tokens_are_checked_and_an_old_worker_token_is_no_violation(wire: Wire):
    """LSE-5: a wrong worker token gets 401, a capability token of another task 403."""
    task_id, other = wire.dispatcher.add_task(PAYLOAD), wire.dispatcher.add_task(PAYLOAD)
    old = wire.dispatcher.worker_token
    wire.dispatcher.rotate_token()
    assert wire.claim(task_id, token=old)[0] == 401
    assert wire.clauses == []
    assert wire.claim(task_id, token="invented")[0] == 401
    _, claimed = wire.claim(task_id)
    assert wire.heartbeat(claimed, other)[0] == 403
    assert wire.heartbeat(claimed | {"capability_token": "invented"}, task_id)[0] == 401
    assert wire.clauses == ["LSE-1", "LSE-2", "LSE-2"]


@pytest.mark.parametrize(
    ("change", "status", "clause"),
    [
        ({"datasets_published": []}, 400, "PUB-1"),
        ({"datasets_published": [publication()] * 2}, 400, "PUB-1"),
        (failure("fatal_error") | {"datasets_published": [publication()]}, 400, "PUB-3"),
        ({"status": "Failed"}, 400, "OUT-1"),
        ({"outcome": "failure"}, 400, "OUT-1"),
        ({"error_message": "none"}, 400, "OUT-1"),
        ({"extra": 1}, 400, "OUT-1"),
        ({"datasets_published": [publication() | {"range_end": 999}]}, 409, "PUB-1"),
        ({"datasets_published": [publication() | {"dataset_version": OTHER_ID}]}, 409, "VER-2"),
        ({"datasets_published": [publication() | {"extra": 1}]}, 409, "PUB-1"),
        ({"datasets_published": [publication() | {"storage_ref": "s3://trace"}]}, 409, "PUB-2"),
        (
            {
                "datasets_published": [
                    publication() | {"storage_ref": publication()["storage_ref"] | {"prefix": "cryo/"}}
                ]
            },
            409,
            "LAY-1",
        ),
    ],
)
def test_a_completion_that_breaks_the_contract_is_rejected_with_its_clause(
    change: dict[str, Any], status: int, clause: str, wire: Wire
):
    """OUT-1, PUB-1 to PUB-3, VER-2, LAY-1: such a completion has no effect."""
    task_id = wire.dispatcher.add_task(PAYLOAD)
    _, claimed = wire.claim(task_id)
    assert wire.complete(claimed, task_id, **change)[0] == status
    assert wire.clauses == [clause]
    assert wire.dispatcher.task(task_id).status is TaskStatus.RUNNING
    assert wire.dispatcher.registered == {}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/tasks", {}, 404),
        ("/internal/task-claim", b"not json", 400),
        ("/internal/task-claim", {"task_id": OTHER_ID}, 400),
        ("/internal/task-claim", {"task_id": OTHER_ID.replace("1", "A"), "worker_id": "w"}, 400),
        ("/v1/task/heartbeat", {"task_id": OTHER_ID, "attempt": True, "lease_token": "x"}, 400),
    ],
)
def test_a_malformed_request_is_rejected_and_recorded(path: str, body: Any, status: int, wire: Wire):
    """The wire: a request must have exactly the fields and types of the contract."""
    assert wire.post(path, {"X-Trace-Worker-Token": wire.dispatcher.worker_token}, body)[0] == status
    assert len(wire.clauses) == 1


def test_no_secret_is_in_the_journal(wire: Wire):
    """SEC-1: labels replace tokens."""
    task_id = wire.dispatcher.add_task(PAYLOAD)
    _, claimed = wire.claim(task_id)
    wire.complete(claimed, task_id)
    written = repr(wire.dispatcher.journal)
    assert [exchange.kind for exchange in wire.dispatcher.journal] == ["claim", "complete"]
    for secret in (wire.dispatcher.worker_token, claimed["lease_token"], claimed["capability_token"]):
        assert secret not in written
    assert "<lease token of attempt 1" in written


def test_over_http_the_date_is_that_of_the_dispatchers_clock():
    """LSE-3: the length of a lease is counted from the `Date` of the answer, so that clocks need not agree."""
    clock = ManualClock(1_600_000_000.0)
    with DispatcherServer(Dispatcher(clock=clock)) as server:
        task_id = server.dispatcher.add_task(PAYLOAD)
        headers = {"X-Trace-Worker-Token": server.worker_token}
        body = {"task_id": task_id, "worker_id": "w1"}
        status, _, answered = over_http(server.url)("/internal/task-claim", headers, body)
    assert status == 200
    assert parsedate_to_datetime(answered["Date"]).timestamp() == clock.time()
