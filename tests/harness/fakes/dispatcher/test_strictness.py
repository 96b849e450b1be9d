"""What a careless or a cheating worker might try: each is refused, blamed, and none of it is kept in the clear."""

import json
import socket
import threading
from typing import Any

import pytest

from harness.contract import dataset_version, payload_is_valid, prefix
from harness.fakes.dispatcher import Dispatcher, DispatcherFault, DispatcherServer, ManualClock, Request, TaskStatus
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
    """Holds the one task of a dispatcher whose clock stands still, and asks in process."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.dispatcher = Dispatcher(clock=self.clock, bucket="trace", **settings)
        self.task_id = self.dispatcher.add_task(PAYLOAD)
        _, self.held = self.ask(CLAIM, {"task_id": self.task_id, "worker_id": "w"}, self.dispatcher.worker_token)

    def ask(self, path: str, body: Any, token: str) -> tuple[int, dict[str, Any]]:
        """Send one request with a token in the header of its kind."""
        header = "x-trace-worker-token" if path == CLAIM else "x-trace-task-capability"
        written = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.dispatcher.handle(Request("POST", path, {header: token}, written)).answer
        return answer.status, dict(answer.body)

    def heartbeat(self) -> int:
        """Renew the lease."""
        return self.ask(HEARTBEAT, self.lease(), self.held["capability_token"])[0]

    def lease(self) -> dict[str, Any]:
        """What every later request holds."""
        return {"task_id": self.task_id, "attempt": 1, "lease_token": self.held["lease_token"]}

    def complete(self, **changes: Any) -> int:
        """Report a success, with changes."""
        return self.ask(COMPLETE, self.lease() | success() | changes, self.held["capability_token"])[0]

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


def test_a_capability_is_no_worker_token():
    """A token of the wrong kind is an invented one: blamed, unlike one that was rotated away."""
    worker = Worker()
    body = {"task_id": worker.task_id, "worker_id": "w"}
    assert worker.ask(CLAIM, body, worker.held["capability_token"])[0] == 401
    assert worker.ask(HEARTBEAT, worker.lease(), worker.dispatcher.worker_token)[0] == 401
    assert worker.clauses == ["LSE-1", "LSE-2"]


@pytest.mark.parametrize("name", ["worker", "capability"])
def test_sec_1_a_token_in_a_report_is_refused_and_kept_nowhere(name: str):
    """SEC-1: neither the journal, nor the violations, nor the task's report has it, in the midst of a text either."""
    worker = Worker()
    token = worker.dispatcher.worker_token if name == "worker" else worker.held["capability_token"]
    assert worker.complete(**FAILED, error_message=f"refused:{token}.") == 400
    assert worker.complete(**{f"x{token}": 1}) == 400
    assert worker.clauses == ["SEC-1", "OUT-1"]
    assert worker.dispatcher.task(worker.task_id).status is TaskStatus.RUNNING
    assert token not in repr([worker.dispatcher.journal, worker.dispatcher.violations, worker.dispatcher.tasks])


def test_a_token_that_nobody_gave_out_is_a_label_too():
    """It may be somebody else's secret."""
    worker = Worker()
    worker.ask(HEARTBEAT, worker.lease() | {"lease_token": "AKIA-of-somebody"}, worker.held["capability_token"])
    assert "AKIA-of-somebody" not in repr(worker.dispatcher.journal)


@pytest.mark.parametrize("status", [401, 403, 409])
def test_after_an_answer_that_ends_the_lease_nothing_more_is_asked(status: int):
    """LSE-3, LSE-5: whoever asks on after it has read 401, 403 or 409 is refused again, and blamed."""
    worker = Worker(faults=[DispatcherFault("heartbeat", "status", status=status)])
    assert [worker.heartbeat(), worker.complete()] == [status, status]
    assert worker.clauses == ["LSE-3" if status == 409 else "LSE-5"]
    assert worker.dispatcher.registered == {}


def test_an_answer_that_was_lost_ends_no_lease():
    """LSE-3: a 409 that was never read can't have told anything."""
    worker = Worker(
        faults=[DispatcherFault("heartbeat", "take-lease"), DispatcherFault("heartbeat", "reset", when="after")]
    )
    worker.heartbeat()
    assert worker.complete() == 409
    assert worker.clauses == []


def test_out_1_an_attempt_is_reported_once():
    """OUT-1: the same report again is answered as before, another one is a violation."""
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
def test_a_publication_is_the_payloads_to_the_type(changes: dict[str, Any], clause: str):
    """PUB-1, PUB-2: `1000.0` is no block number, and a platform with a bucket takes nothing from a directory."""
    worker = Worker()
    assert worker.complete(**success(**changes)) == 409
    assert worker.clauses == [clause]


@pytest.mark.parametrize(
    "change",
    [{"chain_id": True}, {"range_end": 0}, {"range_end": 2**32}, {"dataset_key": "Eth"}, {"dataset_uuid": "7"}, None],
)
def test_pay_2_nothing_is_published_for_a_bad_payload(change: dict[str, Any] | None):
    """PAY-2: the dispatcher knows a bad payload by itself."""
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
def test_a_body_that_two_readers_could_read_differently_is_refused(body: bytes):
    """A field named twice, NaN, other encodings and endless bodies are no JSON of the contract's."""
    worker = Worker()
    assert worker.ask(CLAIM, body.replace(b"%s", worker.task_id.encode()), worker.dispatcher.worker_token)[0] in {
        400,
        413,
    }
    assert worker.clauses == ["LSE-1"]


def test_a_task_is_entered_once_and_stays_as_it_was_entered():
    """A test's own mistakes are told where they are made."""
    payload = dict(PAYLOAD)
    dispatcher = Dispatcher()
    task_id = dispatcher.add_task(payload)
    payload["chain_id"] = 2
    assert dispatcher.task(task_id).payload == PAYLOAD
    with pytest.raises(ValueError, match="is taken"):
        dispatcher.add_task(PAYLOAD, task_id)
    with pytest.raises(ValueError, match="no lower-case UUID"):
        dispatcher.add_task(PAYLOAD, "1")
    with pytest.raises(ValueError, match="16 characters"):
        Dispatcher(worker_token="short")


def test_a_clock_that_jumps_back_takes_no_lease_away():
    """LSE-3: leases are by the dispatcher's clock, wherever it goes."""
    worker = Worker(faults=[DispatcherFault("heartbeat", "jump", seconds=-3600)])
    assert [worker.heartbeat(), worker.complete()] == [200, 200]


def test_time_goes_on_when_the_queue_fails():
    """A wake-up that the queue did not take is sent again; the request or the timer that caused it does not fail."""
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
        assert server.dispatcher.handle(Request("POST", CLAIM, headers, body)).answer.status == 200
        clock.advance(30)
        assert sent.wait(30)


def test_over_http_a_query_is_another_path_and_bytes_in_a_header_are_no_token():
    """What `DispatcherServer` hands over is what was sent."""
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


def test_wake_ups_go_through_the_real_queue_twice_when_told_and_again(moto: S3Endpoint):
    """PUB-6: duplicates, one more when asked for, and redelivery of what was received and not deleted."""
    queue = make_queue(moto)
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
