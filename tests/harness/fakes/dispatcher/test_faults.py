"""Every scripted fault of the dispatcher applies, over HTTP, to the request that it names and to no other."""

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from harness.fakes.dispatcher import Dispatcher, DispatcherServer, ManualClock, TaskStatus
from harness.faults import DispatcherFault
from harness.faults.dispatcher import ACTIONS

HANGS_SECONDS = 2.0
"""After this time a request counts as hanging; other requests have no time limit."""


class Client:
    """Sends requests to one dispatcher, each on a new connection."""

    def __init__(self, server: DispatcherServer) -> None:
        self.server = server
        self.task_id = server.dispatcher.add_task({"chain_id": 1})
        self.claimed: dict[str, Any] = {}
        self.timeout_seconds: float | None = None

    def ask(self, path: str, token: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Send a request and return the status and the body of the answer."""
        connection = http.client.HTTPConnection(self.server.url.removeprefix("http://"), timeout=self.timeout_seconds)
        try:
            connection.request("POST", path, json.dumps(body), token)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def claim(self) -> tuple[int, dict[str, Any]]:
        """Claim the task and keep the answer."""
        token = {"X-Trace-Worker-Token": self.server.worker_token}
        status, body = self.ask("/internal/task-claim", token, {"task_id": self.task_id, "worker_id": "w"})
        self.claimed = body
        return status, body

    def fail(self) -> tuple[int, dict[str, Any]]:
        """Report the attempt as fatal."""
        body = {
            "task_id": self.task_id,
            "attempt": self.claimed["attempt"],
            "lease_token": self.claimed["lease_token"],
            "status": "Failed",
            "outcome": "fatal_error",
            "events": [],
            "outputs": [],
            "datasets_published": [],
            "error_message": "it failed",
        }
        return self.ask("/v1/task/complete", {"X-Trace-Task-Capability": self.claimed["capability_token"]}, body)

    @property
    def status(self) -> TaskStatus:
        """The status of the task."""
        return self.server.dispatcher.task(self.task_id).status


@pytest.fixture
def client() -> Iterator[Client]:
    """A dispatcher with one task, a manual clock, and no faults yet."""
    with DispatcherServer(Dispatcher(clock=ManualClock(), lease_seconds=30)) as server:
        yield Client(server)
        assert server.dispatcher.unfired_faults == [], "a fault that did not fire proves nothing"


@pytest.mark.parametrize(("when", "after"), [("before", TaskStatus.RUNNING), ("after", TaskStatus.FAILED)])
@pytest.mark.parametrize("action", ["status", "hang", "reset"])
def test_an_answer_is_lost_before_or_after_the_request_takes_effect(
    action: Any, when: Any, after: TaskStatus, client: Client
):
    """After a status, a hang or a reset the worker repeats its completion, which takes effect once."""
    client.server.dispatcher.add_faults(DispatcherFault("complete", action, when=when, times=1))
    client.claim()
    if action == "status":
        assert client.fail()[0] == 503
    else:
        client.timeout_seconds = HANGS_SECONDS if action == "hang" else None
        with pytest.raises(TimeoutError if action == "hang" else OSError):
            client.fail()
        client.timeout_seconds = None
    assert client.status is after
    assert client.fail()[0] == 200
    assert (client.status, len(client.server.dispatcher.task(client.task_id).reports)) == (TaskStatus.FAILED, 1)
    fired = [exchange.fault for exchange in client.server.journal]
    assert fired == [None, f"{action} {when}", None]
    assert client.server.dispatcher.violations == []


@pytest.mark.parametrize("code", [401, 403, 409, 500])
def test_any_status_can_be_scripted(code: int, client: Client):
    """The answer has the status of the script, from the `nth` request on and for `times` requests."""
    client.server.dispatcher.add_faults(DispatcherFault("claim", "status", nth=1, times=2, status=code))
    assert [client.claim()[0], client.claim()[0], client.claim()[0]] == [code, code, 200]


def test_a_lease_can_be_taken_away(client: Client):
    """The attempt that had the lease gets 409, and the task is queued again."""
    client.server.dispatcher.add_faults(DispatcherFault("complete", "take-lease", times=1))
    client.claim()
    assert client.fail()[0] == 409
    assert client.status is TaskStatus.QUEUED


def test_a_running_task_can_be_cancelled(client: Client):
    """Its completion is answered with 409, and it cannot be claimed again."""
    client.server.dispatcher.add_faults(DispatcherFault("complete", "cancel", times=1))
    client.claim()
    assert client.fail()[0] == 409
    assert client.claim() == (200, {"status": "NotClaimed", "reason": "Canceled"})


def test_the_workers_token_can_be_rotated(client: Client):
    """A claim with the old token is rejected without a violation; the new token is accepted."""
    client.server.dispatcher.add_faults(DispatcherFault("claim", "rotate-token", times=1))
    assert client.claim()[0] == 401
    assert client.claim()[0] == 200
    assert client.server.dispatcher.violations == []


def test_the_clock_can_jump(client: Client):
    """A jump past the end of a lease ends it."""
    client.server.dispatcher.add_faults(DispatcherFault("complete", "jump", seconds=31, times=1))
    client.claim()
    assert client.fail()[0] == 409
    assert client.server.dispatcher.task(client.task_id).expired_leases == 1


def test_an_answer_can_have_unknown_fields(client: Client):
    """A valid answer can also contain fields that the contract does not have."""
    client.server.dispatcher.add_faults(DispatcherFault("claim", "unknown-fields", times=1))
    status, body = client.claim()
    assert (status, body["status"], "x_unknown" in body) == (200, "Claimed", True)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "clam", "do": "hang"}, "'claim', 'heartbeat' or 'complete'"),
        ({"kind": "claim", "do": "hung"}, ", ".join(map(repr, ACTIONS[:-1]))),
        ({"kind": "claim", "do": "hang", "nth": 0}, "greater than or equal to 1"),
        ({"kind": "claim", "do": "hang", "times": 0}, "greater than or equal to 1"),
    ],
)
def test_a_fault_that_could_never_fire_is_an_error(fields: dict[str, Any], words: str):
    """A mistake in a script is an error when the fault is created."""
    with pytest.raises(ValueError, match="DispatcherFault") as caught:
        DispatcherFault(**fields)
    assert words in str(caught.value)


def test_a_lease_ends_without_any_request():
    """The server sends a wake-up when a lease ends, even if no request comes."""
    woken: list[str] = []
    all_sent = threading.Event()

    class Queue:
        def send(self, task_id: str) -> None:
            woken.append(task_id)
            if len(woken) == 4:
                all_sent.set()

    clock = ManualClock()
    with DispatcherServer(Dispatcher(clock=clock, queue=Queue(), lease_seconds=30, wakeups=2)) as server:
        client = Client(server)
        client.claim()
        clock.advance(30)
        assert all_sent.wait(30)
    assert woken == [client.task_id] * 4
