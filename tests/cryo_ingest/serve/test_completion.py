"""Reporting an attempt: OUT-1, PUB-5, LSE-3."""

import pytest
from structlog.testing import capture_logs
from support.service_doubles import Hang, ScriptedDispatcher, backoff, claim_of
from support.virtual_time import VirtualClock

from cryo_ingest.attempt import Failure
from cryo_ingest.errors import MachineFailed
from cryo_ingest.redact import Redactor
from cryo_ingest.serve.completion import complete, make_report, shape
from cryo_ingest.serve.lease import Lease
from cryo_ingest.serve.ports import CompletionRejected, DispatcherUnavailable, LeaseLost, Report

FAULT = DispatcherUnavailable("complete", "no answer (ServerDisconnectedError)")
REPORT = Report("retryable_error", error_message="because")


def report(clock: VirtualClock, dispatcher: ScriptedDispatcher) -> bool:
    claim = claim_of()
    lease = Lease(claim.lease_period, clock)
    return clock.run(complete(claim, REPORT, lease=lease, dispatcher=dispatcher, clock=clock, backoff=backoff()))


def test_out_1_a_report_without_a_response_is_sent_again():
    """OUT-1: the same report is sent until there is a response."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, completions=[FAULT, Hang(FAULT), None])
    assert report(clock, dispatcher)
    assert dispatcher.reports == [REPORT] * 3


def test_lse_3_no_completion_starts_after_the_local_end():
    """LSE-3: the last completion is sent before 1055, and at 1055 the lease is lost."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, completions=[FAULT])
    with pytest.raises(LeaseLost):
        report(clock, dispatcher)
    assert clock.now == 1055
    assert 1050 <= max(dispatcher.times("complete")) < 1055


def test_lse_3_a_hanging_request_leaves_time_for_retries():
    """LSE-3: no single request may use up the remaining lease."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, completions=[Hang(FAULT)])
    with pytest.raises(LeaseLost):
        report(clock, dispatcher)
    assert len(dispatcher.reports) >= 4


def test_pub_5_a_409_stops_at_once():
    """PUB-5: a stale attempt publishes nothing and does not retry."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, completions=[LeaseLost("409", fenced=True)])
    with pytest.raises(LeaseLost):
        report(clock, dispatcher)
    assert len(dispatcher.reports) == 1
    assert clock.now == 1000


def test_out_1_a_rejected_report_is_logged_without_values():
    """OUT-1, SEC-1: the log has the body's fields and types."""
    clock = VirtualClock()
    with capture_logs() as logged:
        assert not report(clock, ScriptedDispatcher(clock, completions=[CompletionRejected(400)]))
    (event,) = logged
    assert (event["event"], event["status"], event["log_level"]) == ("attempt.report_rejected", 400, "error")
    assert event["body"] == {
        "task_id": "text of 36",
        "attempt": "int",
        "lease_token": "text of 12",
        "status": "text of 6",
        "outcome": "text of 15",
        "events": [],
        "outputs": [],
        "datasets_published": [],
        "error_message": "text of 7",
    }
    assert "canary" not in repr(logged)


def test_a_shape_has_no_values_at_any_depth():
    """SEC-1: strings, numbers and nested values are described, never shown."""
    assert shape({"a": [{"b": "secret"}, 5, None]}) == {"a": [{"b": "text of 6"}, "int", "null"]}


def test_sec_1_the_reported_message_is_redacted():
    """SEC-1: the platform displays the message."""
    message = make_report(Failure(MachineFailed(reason="https://node.example/k3y")), Redactor([])).error_message
    assert message is not None
    assert "k3y" not in message


def test_an_endless_loop_in_virtual_time_fails_the_test():
    """A loop in the service that never ends fails a test instead of hanging it."""
    clock = VirtualClock()

    async def loop() -> None:
        while True:
            await clock.sleep(1)

    with pytest.raises(AssertionError, match="never ends"):
        clock.run(loop())
