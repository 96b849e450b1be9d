"""The end of an attempt as the dispatcher is told it: the body, once, and again until it is known to have arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryo_ingest.attempt import Success
from cryo_ingest.logs import log
from cryo_ingest.serve.lease import MAX_REQUEST_SECONDS
from cryo_ingest.serve.ports import CompletionRefused, DispatcherUnavailable, Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryo_ingest.attempt import Outcome
    from cryo_ingest.backoff import Backoff
    from cryo_ingest.ports import Clock
    from cryo_ingest.serve.lease import Lease
    from cryo_ingest.serve.ports import Claim, Dispatcher

TRIES_A_REST = 3
"""A request may take this part of what is left of the lease, so that after a lost answer there is time to ask again."""

MIN_REQUEST_SECONDS = 1.0


def report_of(outcome: Outcome, redact: Callable[[str], str]) -> Report:
    """Return what to report of an attempt; the message is redacted once more, since the platform shows it around."""
    if isinstance(outcome, Success):
        return Report(outcome.outcome, publication=outcome.publication)
    return Report(outcome.outcome, error_message=redact(str(outcome.error)))


def completion_body(claim: Claim, report: Report) -> dict[str, Any]:
    """Return the body of a completion: `status` is the documented field, `outcome` the lite one; both are sent."""
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
    """Report an attempt, asking again with the same body while no answer comes and the lease is held.

    Return whether the report was taken; False is a bug of ours, logged.

    Raises:
        LeaseLost: it is held no longer, or the dispatcher says so (PUB-5).
    """
    while True:
        lease.require()
        share = lease.remaining_seconds() / TRIES_A_REST
        timeout_seconds = min(MAX_REQUEST_SECONDS, max(MIN_REQUEST_SECONDS, share))
        try:
            await dispatcher.complete(claim, report, timeout_seconds=timeout_seconds)
        except CompletionRefused as refused:
            log.error("attempt.report_refused", status=refused.status, body=shape(completion_body(claim, report)))
            return False
        except DispatcherUnavailable as error:
            log.warning("attempt.report_unanswered", reason=error.reason)
            await clock.sleep(min(backoff.failed(), max(0.0, lease.remaining_seconds())))
        else:
            return True


def shape(value: object) -> object:
    """Describe a JSON value by its fields and types, with no value of it: what may be logged of a body with tokens."""
    match value:
        case dict():
            return {name: shape(item) for name, item in value.items()}
        case list():
            return [shape(item) for item in value]
        case str():
            return f"text of {len(value)}"
        case _:
            return "null" if value is None else type(value).__name__
