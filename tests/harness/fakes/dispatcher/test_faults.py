"""Every scripted fault of the dispatcher strikes the request that it names, over HTTP, and no other."""

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from harness.fakes.dispatcher import Dispatcher, DispatcherFault, DispatcherServer, ManualClock, TaskStatus
from harness.fakes.dispatcher.faults import ACTIONS

HANGS_SECONDS = 2.0
"""After which a request counts as hanging; all others are given as long as they want."""


class Client:
    """Asks one dispatcher on a fresh connection each time."""

    def __init__(self, server: DispatcherServer) -> None:
        self.server = server
        self.task_id = server.dispatcher.add_task({"chain_id": 1})
        self.held: dict[str, Any] = {}
        self.timeout_seconds: float | None = None

    def ask(self, path: str, token: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the status and the body of an answer."""
        connection = http.client.HTTPConnection(self.server.url.removeprefix("http://"), timeout=self.timeout_seconds)
        try:
            connection.request("POST", path, json.dumps(body), token)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def claim(self) -> tuple[int, dict[str, Any]]:
        """Claim the task and keep what was given."""
        token = {"X-Trace-Worker-Token": self.server.worker_token}
        status, body = self.ask("/internal/task-claim", token, {"task_id": self.task_id, "worker_id": "w"})
        self.held = body
        return status, body

    def fail(self) -> tuple[int, dict[str, Any]]:
        """Report the attempt as fatal."""
        body = {
            "task_id": self.task_id,
            "attempt": self.held["attempt"],
            "lease_token": self.held["lease_token"],
            "status": "Failed",
            "outcome": "fatal_error",
            "events": [],
            "outputs": [],
            "datasets_published": [],
            "error_message": "it failed",
        }
        return self.ask("/v1/task/complete", {"X-Trace-Task-Capability": self.held["capability_token"]}, body)

    @property
    def status(self) -> TaskStatus:
        """How the task stands."""
        return self.server.dispatcher.task(self.task_id).status


@pytest.fixture
def client() -> Iterator[Client]:
    """A dispatcher with one task, a clock that stands still, and no fault yet."""
    with DispatcherServer(Dispatcher(clock=ManualClock(), lease_seconds=30)) as server:
        yield Client(server)
        assert server.dispatcher.unfired_faults == [], "a fault that never struck has shown nothing"


@pytest.mark.parametrize(("when", "after"), [("before", TaskStatus.RUNNING), ("after", TaskStatus.FAILED)])
@pytest.mark.parametrize("action", ["status", "hang", "reset"])
def test_an_answer_that_is_lost_comes_before_or_after_the_effect(
    action: Any, when: Any, after: TaskStatus, client: Client
):
    """A status, a hang and a reset: the worker can't tell whether it took effect; asked again, it is taken once."""
    client.server.dispatcher.add_faults(DispatcherFault("complete", action, when=when))
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
def test_any_status_can_be_had(code: int, client: Client):
    """The script's status is the answer's, as often as it says, from where it says."""
    client.server.dispatcher.add_faults(DispatcherFault("claim", "status", nth=1, times=2, status=code))
    assert [client.claim()[0], client.claim()[0], client.claim()[0]] == [code, code, 200]


def test_a_lease_can_be_taken_away(client: Client):
    """The attempt that had it is fenced off with 409, and the task waits for another."""
    client.server.dispatcher.add_faults(DispatcherFault("complete", "take-lease"))
    client.claim()
    assert client.fail()[0] == 409
    assert client.status is TaskStatus.QUEUED


def test_a_task_can_be_cancelled_in_the_middle(client: Client):
    """Its completion is a 409, and nobody can claim it any more."""
    client.server.dispatcher.add_faults(DispatcherFault("complete", "cancel"))
    client.claim()
    assert client.fail()[0] == 409
    assert client.claim() == (200, {"status": "NotClaimed", "reason": "Canceled"})


def test_the_workers_token_can_be_rotated(client: Client):
    """The claim that brings the old one is refused without blame; the new one is good."""
    client.server.dispatcher.add_faults(DispatcherFault("claim", "rotate-token"))
    assert client.claim()[0] == 401
    assert client.claim()[0] == 200
    assert client.server.dispatcher.violations == []


def test_the_clock_can_jump(client: Client):
    """A jump past the lease ends it."""
    client.server.dispatcher.add_faults(DispatcherFault("complete", "jump", seconds=31))
    client.claim()
    assert client.fail()[0] == 409
    assert client.server.dispatcher.task(client.task_id).expired_leases == 1


def test_an_answer_can_have_more_in_it(client: Client):
    """Fields that no contract knows stand beside the good ones."""
    client.server.dispatcher.add_faults(DispatcherFault("claim", "unknown-fields"))
    status, body = client.claim()
    assert (status, body["status"], "x_unknown" in body) == (200, "Claimed", True)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "clam", "do": "hang"}, "no such fault: clam hang"),
        ({"kind": "claim", "do": "hung"}, ", ".join(ACTIONS)),
        ({"kind": "claim", "do": "hang", "nth": 0}, "counted from 1"),
        ({"kind": "claim", "do": "hang", "times": 0}, "counted from 1"),
    ],
)
def test_a_fault_that_could_never_strike_is_refused(fields: dict[str, Any], words: str):
    """A script's mistake is told where it is written."""
    with pytest.raises(ValueError, match="fault") as caught:
        DispatcherFault(**fields)
    assert words in str(caught.value)


def test_leases_end_by_the_clock_alone_without_anybody_asking():
    """Over HTTP time passes by itself: a wake-up is sent when a lease ends, though no request comes."""
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
