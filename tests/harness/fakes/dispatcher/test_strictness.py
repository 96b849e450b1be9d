"""Requests of careless or adversarial workers: each is rejected and recorded as a violation, without secrets."""

import json
import socket
import threading
from typing import Any

import pytest

from harness.contract import dataset_version, payload_is_valid, prefix
from harness.fakes.dispatcher import Dispatcher, DispatcherRequest, DispatcherServer, ManualClock, TaskStatus
from harness.faults import DispatcherFault
from harness.stores.bucket import S3Endpoint
from harness.stores.queue import make_queue

PAYLOAD: dict[str, Any] = {
    "dataset_uuid": "7f3c5c1e-6a0e-4f0e-9d7e-2f6a3b1c9d10",
    "dataset_key": "eth_logs",
    "chain_id": 1,
    "cryo_dataset_name": "logs",
    "rpc_pool": "mainnet",
    "range_start": 0,
    "range_end": 1000,
    "config_hash": "v1",
}
CLAIM, HEARTBEAT, COMPLETE = "/internal/task-claim", "/v1/task/heartbeat", "/v1/task/complete"


class Worker:
    """Has claimed the only task of a dispatcher with a manual clock; sends requests in process."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.dispatcher = Dispatcher(clock=self.clock, bucket="trace", **settings)
        self.task_id = self.dispatcher.add_task(PAYLOAD)
        _, self.claimed = self.ask(CLAIM, {"task_id": self.task_id, "worker_id": "w"}, self.dispatcher.worker_token)

    def ask(self, path: str, body: Any, token: str) -> tuple[int, dict[str, Any]]:
        """Send one request with a token in the right header."""
        header = "x-trace-worker-token" if path == CLAIM else "x-trace-task-capability"
        written = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.dispatcher.handle(DispatcherRequest("POST", path, {header: token}, written)).answer
        return answer.status, dict(answer.body)

    def heartbeat(self) -> int:
        """Renew the lease."""
        return self.ask(HEARTBEAT, self.lease(), self.claimed["capability_token"])[0]

    def lease(self) -> dict[str, Any]:
        """Return the fields that every request after the claim has."""
        return {"task_id": self.task_id, "attempt": 1, "lease_token": self.claimed["lease_token"]}

    def complete(self, **changes: Any) -> int:
        """Report a success, with changes."""
        return self.ask(COMPLETE, self.lease() | success() | changes, self.claimed["capability_token"])[0]

    @property
    def clauses(self) -> list[str]:
        """The clauses that were broken."""
        return [violation.clause for violation in self.dispatcher.violations]


def success(**changes: Any) -> dict[str, Any]:
    publication = {
        "dataset_uuid": PAYLOAD["dataset_uuid"],
        "dataset_version": dataset_version(PAYLOAD),
        "storage_ref": {"scheme": "s3", "bucket": "trace", "prefix": prefix(PAYLOAD), "glob": "*.parquet"},
        "config_hash": "v1",
        "range_start": 0,
        "range_end": 1000,
    }
    return {
        "status": "Completed",
        "outcome": "success",
        "events": [],
        "outputs": [],
        "datasets_published": [publication | changes],
        "error_message": None,
    }


FAILED = {"status": "Failed", "outcome": "fatal_error", "datasets_published": []}


def test_a_capability_token_is_not_a_worker_token():
    """A token of the wrong kind is a violation, unlike an old worker token."""
    worker = Worker()
    body = {"task_id": worker.task_id, "worker_id": "w"}
    assert worker.ask(CLAIM, body, worker.claimed["capability_token"])[0] == 401
    assert worker.ask(HEARTBEAT, worker.lease(), worker.dispatcher.worker_token)[0] == 401
    assert worker.clauses == ["LSE-1", "LSE-2"]


@pytest.mark.parametrize("name", ["worker", "capability"])
def test_sec_1_a_token_in_a_report_is_rejected_and_not_stored(name: str):
    """SEC-1: the journal, the violations and the task's reports do not contain it, not even inside a longer text."""
    worker = Worker()
    token = worker.dispatcher.worker_token if name == "worker" else worker.claimed["capability_token"]
    assert worker.complete(**FAILED, error_message=f"refused:{token}.") == 400
    assert worker.complete(**{f"x{token}": 1}) == 400
    assert worker.clauses == ["SEC-1", "OUT-1"]
    assert worker.dispatcher.task(worker.task_id).status is TaskStatus.RUNNING
    assert token not in repr([worker.dispatcher.journal, worker.dispatcher.violations, worker.dispatcher.tasks])


def test_an_unknown_token_is_replaced_by_a_label_too():
    """It may be a secret of another system."""
    worker = Worker()
    worker.ask(
        HEARTBEAT, worker.lease() | {"lease_token": "AKIA-of-another-system"}, worker.claimed["capability_token"]
    )
    assert "AKIA-of-another-system" not in repr(worker.dispatcher.journal)


@pytest.mark.parametrize("status", [401, 403, 409])
def test_a_request_after_an_answer_that_ends_the_lease_is_a_violation(status: int):
    """LSE-3, LSE-5: a request after an answer of 401, 403 or 409 is rejected and recorded as a violation."""
    worker = Worker(faults=[DispatcherFault("heartbeat", "status", status=status, times=1)])
    assert [worker.heartbeat(), worker.complete()] == [status, status]
    assert worker.clauses == ["LSE-3" if status == 409 else "LSE-5"]
    assert worker.dispatcher.registered == {}


def test_a_request_after_a_lost_answer_is_not_a_violation():
    """LSE-3: the worker did not receive the 409 and does not know that its lease is lost."""
    worker = Worker(
        faults=[
            DispatcherFault("heartbeat", "take-lease", times=1),
            DispatcherFault("heartbeat", "reset", when="after", times=1),
        ]
    )
    worker.heartbeat()
    assert worker.complete() == 409
    assert worker.clauses == []


def test_out_1_an_attempt_is_reported_once():
    """OUT-1: the same report is answered as before; a different one is a violation."""
    worker = Worker()
    assert [worker.complete(), worker.complete(), worker.complete(**FAILED)] == [200, 200, 409]
    assert worker.clauses == ["OUT-1"]
    assert worker.dispatcher.task(worker.task_id).outcome == "success"


@pytest.mark.parametrize(
    ("changes", "clause"),
    [
        ({"range_start": False}, "PUB-1"),
        ({"range_end": 1000.0}, "PUB-1"),
        ({"storage_ref": {"scheme": "file", "prefix": f"/data/{prefix(PAYLOAD)}", "glob": "*.parquet"}}, "PUB-2"),
        ({"storage_ref": {"scheme": "s3", "bucket": "", "prefix": prefix(PAYLOAD), "glob": "*.parquet"}}, "PUB-2"),
    ],
)
def test_a_publication_is_compared_with_the_payload_by_value_and_type(changes: dict[str, Any], clause: str):
    """PUB-1, PUB-2: `1000.0` is not a block number, and a platform with a bucket rejects a directory."""
    worker = Worker()
    assert worker.complete(**success(**changes)) == 409
    assert worker.clauses == [clause]


@pytest.mark.parametrize(
    "change",
    [{"chain_id": True}, {"range_end": 0}, {"range_end": 2**32}, {"dataset_key": "Eth"}, {"dataset_uuid": "7"}, None],
)
def test_pay_2_nothing_is_published_for_a_bad_payload(change: dict[str, Any] | None):
    """PAY-2: the dispatcher recognises a bad payload."""
    assert payload_is_valid(PAYLOAD)
    assert not payload_is_valid(PAYLOAD | change if change else [])


@pytest.mark.parametrize(
    "body",
    [
        b'{"task_id":"%s","worker_id":"a","worker_id":"b"}',
        b'{"task_id":"%s","worker_id":NaN}',
        b'\xff{"task_id":"%s"}',
        b'{"task_id":"%s","worker_id":"' + b"w" * 1024**2 + b'"}',
    ],
)
def test_an_ambiguous_or_oversized_body_is_rejected(body: bytes):
    """Duplicate fields, NaN, other encodings and oversized bodies are not valid JSON of the contract."""
    worker = Worker()
    assert worker.ask(CLAIM, body.replace(b"%s", worker.task_id.encode()), worker.dispatcher.worker_token)[0] in {
        400,
        413,
    }
    assert worker.clauses == ["LSE-1"]


def test_a_task_is_added_once_and_its_payload_does_not_change():
    """A mistake of a test is an error at the call that makes it."""
    payload = dict(PAYLOAD)
    dispatcher = Dispatcher()
    task_id = dispatcher.add_task(payload)
    payload["chain_id"] = 2
    assert dispatcher.task(task_id).payload == PAYLOAD
    with pytest.raises(ValueError, match="is taken"):
        dispatcher.add_task(PAYLOAD, task_id)
    with pytest.raises(ValueError, match="not a lower-case UUID"):
        dispatcher.add_task(PAYLOAD, "1")
    with pytest.raises(ValueError, match="16 characters"):
        Dispatcher(worker_token="short")


def test_a_clock_that_jumps_back_ends_no_lease():
    """LSE-3: only the dispatcher's clock decides about leases."""
    worker = Worker(faults=[DispatcherFault("heartbeat", "jump", seconds=-3600, times=1)])
    assert [worker.heartbeat(), worker.complete()] == [200, 200]


def test_a_wake_up_is_sent_again_when_the_queue_fails():
    """If the queue fails, the wake-up is sent again; the request or timer that caused it does not fail."""
    sent = threading.Event()

    class Queue:
        failures = 0

        def send(self, _task_id: str) -> None:
            if clock.time() > begun and self.failures == 0:
                self.failures += 1
                raise ConnectionError
            if clock.time() > begun:
                sent.set()

    clock = ManualClock()
    begun = clock.time()
    with DispatcherServer(Dispatcher(queue=Queue(), clock=clock, lease_seconds=30)) as server:
        task_id = server.dispatcher.add_task(PAYLOAD)
        body = json.dumps({"task_id": task_id, "worker_id": "w"}).encode()
        headers = {"x-trace-worker-token": server.worker_token}
        assert server.dispatcher.handle(DispatcherRequest("POST", CLAIM, headers, body)).answer.status == 200
        clock.advance(30)
        assert sent.wait(30)


def test_over_http_a_query_is_an_unknown_path_and_a_binary_header_is_not_a_token():
    """`DispatcherServer` passes the path and the headers on unchanged."""
    with DispatcherServer(Dispatcher()) as server:
        port = int(server.url.rpartition(":")[2])
        asked = [f"POST {CLAIM}?x=1 HTTP/1.1\r\n", f"POST {CLAIM} HTTP/1.1\r\nX-Trace-Worker-Token: \xff\r\n"]
        statuses = []
        for head in asked:
            body = json.dumps({"task_id": PAYLOAD["dataset_uuid"], "worker_id": "w"})
            rest = f"Host: d\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall((head + rest).encode("latin-1"))
                statuses.append(connection.makefile("rb").readline().split()[1])
        assert statuses == [b"404", b"401"]
        assert [violation.clause for violation in server.dispatcher.violations] == ["LSE-1", "LSE-1"]


def test_wake_ups_are_sent_twice_on_request_and_redelivered(cryo_moto: S3Endpoint):
    """PUB-6: wake-ups are duplicated, sent once more by `wake`, and redelivered if received and not deleted."""
    queue = make_queue(cryo_moto)
    dispatcher = Dispatcher(queue=queue, wakeups=2)
    task_id = dispatcher.add_task(PAYLOAD)
    dispatcher.wake(task_id)
    assert queue.depth() == 4
    received = queue.client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=4)["Messages"]
    assert [json.loads(message["Body"]) for message in received] == [{"task_id": task_id}] * 4
    assert (queue.depth(), queue.in_flight()) == (0, 4)
    for message in received:
        queue.client.change_message_visibility(
            QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    assert (queue.depth(), queue.in_flight()) == (4, 0)
