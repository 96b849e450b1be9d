"""The dispatcher's client: the requests it sends, and the meaning of each status."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from support.scripted_http import Answer, scripted_http
from support.service_doubles import TASK_ID, claim_of

from cryo_ingest.clock import SystemClock
from cryo_ingest.model import Publication, StorageRef
from cryo_ingest.serve.dispatcher import HttpDispatcher, open_session
from cryo_ingest.serve.ports import (
    CompletionRejected,
    DispatcherUnavailable,
    LeaseLost,
    LeasePeriod,
    NotClaimed,
    Report,
)

T = TypeVar("T")

DATE = ("Date", "Mon, 23 Nov 2026 12:00:00 GMT")
RENEWED = b'{"lease_expires_at": "2026-11-23T12:00:30Z", "unknown": 1}'
PUBLICATION = Publication("d", "v", StorageRef("s3", "b", "p/"), "h", 0, 10)


def call_dispatcher(url: str, call: Callable[[HttpDispatcher], Awaitable[T]]) -> T:
    async def main() -> T:
        async with open_session() as session:
            return await call(
                HttpDispatcher(session, url, worker_token="w0rker-canary", worker_id="me", clock=SystemClock())
            )

    return asyncio.run(main())


def claim(dispatcher: HttpDispatcher) -> Awaitable[object]:
    return dispatcher.claim(TASK_ID)


def heartbeat(dispatcher: HttpDispatcher) -> Awaitable[object]:
    return dispatcher.heartbeat(claim_of(), timeout_seconds=5)


def complete(dispatcher: HttpDispatcher) -> Awaitable[object]:
    return dispatcher.complete(claim_of(), Report("success", PUBLICATION), timeout_seconds=5)


def test_the_request_of_a_claim():
    """The wire format: path, header and body; the token is only in its header."""
    with scripted_http(Answer(409)) as server:
        assert call_dispatcher(server.url, claim) == NotClaimed("Conflict")
    ((method, path, headers),) = server.requests
    assert (method, path, headers["x-trace-worker-token"]) == ("POST", "/internal/task-claim", "w0rker-canary")
    assert headers["content-type"] == "application/json"
    assert json.loads(server.bodies[0]) == {"task_id": TASK_ID, "worker_id": "me"}


def test_the_request_of_a_heartbeat():
    """The wire format: the capability token is in its header, the lease token in the body."""
    with scripted_http(Answer(200, RENEWED, (DATE,))) as server:
        lease_period = call_dispatcher(server.url, heartbeat)
    assert isinstance(lease_period, LeasePeriod)
    ((method, path, headers),) = server.requests
    assert (method, path, headers["x-trace-task-capability"]) == ("POST", "/v1/task/heartbeat", "c4pability-canary")
    assert json.loads(server.bodies[0]) == {"task_id": TASK_ID, "attempt": 1, "lease_token": "l3ase-canary"}


def test_the_request_of_a_completion():
    """The wire format, PUB-1: `status` and `outcome`, a publication on success, a message on failure."""
    with scripted_http(Answer(200)) as server:
        call_dispatcher(server.url, complete)
        failure = Report("fatal_error", error_message="why")
        call_dispatcher(server.url, lambda dispatcher: dispatcher.complete(claim_of(), failure, timeout_seconds=5))
    assert {path for _, path, _ in server.requests} == {"/v1/task/complete"}
    success, failed = map(json.loads, server.bodies)
    fence = {"task_id": TASK_ID, "attempt": 1, "lease_token": "l3ase-canary", "events": [], "outputs": []}
    assert failed == fence | {
        "status": "Failed",
        "outcome": "fatal_error",
        "datasets_published": [],
        "error_message": "why",
    }
    assert success == fence | {
        "status": "Completed",
        "outcome": "success",
        "datasets_published": [PUBLICATION.to_wire()],
        "error_message": None,
    }


UNAVAILABLE = [Answer(401), Answer(403), Answer(404), Answer(500), Answer(503), Answer(302), Answer(None), Answer(200)]


def status_of(answer: Answer) -> str:
    return str(answer.status)


@pytest.mark.parametrize("answer", UNAVAILABLE, ids=status_of)
def test_lse_5_a_failed_claim_is_not_a_task_that_cannot_be_claimed(answer: Answer):
    """LSE-5, SEC-1: any other response raises DispatcherUnavailable, without URL or token in its message."""
    with scripted_http(answer) as server, pytest.raises(DispatcherUnavailable) as caught:
        call_dispatcher(server.url, claim)
    assert len(server.requests) == 1, "a claim is never sent twice by the client"
    assert "canary" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("call", [heartbeat, complete])
@pytest.mark.parametrize("status", [401, 403, 409])
def test_lse_5_rejected_credentials_and_a_409_are_a_lost_lease(
    call: Callable[[HttpDispatcher], Awaitable[object]], status: int
):
    """LSE-3, LSE-5, PUB-5: only 409 means that the dispatcher has fenced the attempt off."""
    with scripted_http(Answer(status)) as server, pytest.raises(LeaseLost) as caught:
        call_dispatcher(server.url, call)
    assert caught.value.fenced is (status == 409)


@pytest.mark.parametrize("answer", [Answer(500), Answer(404), Answer(None), Answer(200, RENEWED[:20], (DATE,))])
def test_lse_3_any_other_response_to_a_heartbeat_does_not_change_the_lease(answer: Answer):
    """LSE-3: the heartbeat may be sent again."""
    with scripted_http(answer) as server, pytest.raises(DispatcherUnavailable):
        call_dispatcher(server.url, heartbeat)


@pytest.mark.parametrize("answer", [Answer(500), Answer(429), Answer(302), Answer(None)], ids=status_of)
def test_out_1_a_completion_with_an_unknown_result_may_be_sent_again(answer: Answer):
    """OUT-1: the response does not show whether it took effect."""
    with scripted_http(answer) as server, pytest.raises(DispatcherUnavailable):
        call_dispatcher(server.url, complete)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_out_1_a_rejected_completion_is_not_retryable(status: int):
    """OUT-1: the same completion would be rejected again."""
    with scripted_http(Answer(status)) as server, pytest.raises(CompletionRejected):
        call_dispatcher(server.url, complete)


def test_lse_5_a_failed_connection_is_no_response():
    """LSE-5: the message names only the kind of the error."""
    with pytest.raises(DispatcherUnavailable, match="ClientConnectorError"):
        call_dispatcher("http://127.0.0.1:9", claim)
