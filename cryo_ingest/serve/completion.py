"""Reports the outcome of an attempt to the dispatcher, and retries until the dispatcher responds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryo_ingest.attempt import Success
from cryo_ingest.logs import log
from cryo_ingest.serve.lease import MAX_REQUEST_SECONDS
from cryo_ingest.serve.ports import CompletionRejected, DispatcherUnavailable, Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryo_ingest.attempt import Outcome
    from cryo_ingest.backoff import Backoff
    from cryo_ingest.ports import Clock
    from cryo_ingest.serve.lease import Lease
    from cryo_ingest.serve.ports import Claim, Dispatcher

TRIES_IN_LEASE = 3
"""A request may take a third of the remaining lease, so that there is time for a retry."""

MIN_REQUEST_SECONDS = 1.0


def make_report(outcome: Outcome, redact: Callable[[str], str]) -> Report:
    """Return the report of an attempt; its message is redacted again, since the platform displays it."""
    if isinstance(outcome, Success):
        return Report(outcome.outcome, publication=outcome.publication)
    return Report(outcome.outcome, error_message=redact(str(outcome.error)))


def completion_body(claim: Claim, report: Report) -> dict[str, Any]:
    """Return the body of a completion.

    `status` is the documented field, and `outcome` the field of the lite form. Both are sent.
    """
    return {
        "task_id": claim.assignment.task_id,
        "attempt": claim.assignment.attempt,
        "lease_token": claim.lease_token,
        "status": "Completed" if report.outcome == "success" else "Failed",
        "outcome": report.outcome,
        "events": [],
        "outputs": [],
        "datasets_published": [report.publication.to_wire()] if report.publication else [],
        "error_message": report.error_message,
    }


async def complete(
    claim: Claim, report: Report, *, lease: Lease, dispatcher: Dispatcher, clock: Clock, backoff: Backoff
) -> bool:
    """Report an attempt; retry with the same body while the dispatcher does not answer and the lease is valid.

    Return whether the report was accepted. If not, that is a bug in the worker, and it is logged.

    Raises:
        LeaseLost: the lease is lost, or the dispatcher says that it is (PUB-5).
    """
    while True:
        lease.check()
        share = lease.remaining_seconds() / TRIES_IN_LEASE
        timeout_seconds = min(MAX_REQUEST_SECONDS, max(MIN_REQUEST_SECONDS, share))
        try:
            await dispatcher.complete(claim, report, timeout_seconds=timeout_seconds)
        except CompletionRejected as error:
            log.error("attempt.report_rejected", status=error.status, body=shape(completion_body(claim, report)))
            return False
        except DispatcherUnavailable as error:
            log.warning("attempt.report_unanswered", reason=error.reason)
            await clock.sleep(min(backoff.failed(), max(0.0, lease.remaining_seconds())))
        else:
            return True


def shape(value: object) -> object:
    """Describe a JSON value by its fields and types, without values, so that a body with tokens can be logged."""
    match value:
        case dict():
            return {name: shape(item) for name, item in value.items()}
        case list():
            return [shape(item) for item in value]
        case str():
            return f"text of {len(value)}"
        case _:
            return "null" if value is None else type(value).__name__
