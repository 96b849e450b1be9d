"""A client of the dispatcher on urllib (contract.md, "The wire"): claim in both forms, heartbeat, completion."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from harness.reference.bugs import has_bug

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.reference.settings import Settings

TIMEOUT_SECONDS = 10.0
OK, BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, CONFLICT = 200, 400, 401, 403, 409
LEASE_IS_LOST = {UNAUTHORIZED, FORBIDDEN, CONFLICT}


class DispatcherUnavailable(Exception):
    """The dispatcher rejected the request, failed, or did not answer."""


class TaskNotClaimed(Exception):
    """The task cannot be claimed (LSE-1)."""


class MalformedRequest(Exception):
    """The dispatcher rejected a request as malformed; this is a bug of the worker, so repeating it does not help."""


class LeaseLostResponse(Exception):
    """The dispatcher's response means that this attempt no longer has the lease."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed task; `lease_end` is monotonic time without the margin of LSE-3; the tokens are secrets."""

    task_id: str
    attempt: int
    payload: Any
    lease_end: float
    lease_seconds: float
    lease_token: str = field(repr=False)
    capability_token: str = field(repr=False)


class DispatcherClient:
    """Sends the three requests, each with a timeout."""

    def __init__(self, settings: Settings, worker_id: str) -> None:
        self._url = settings.environment["DISPATCHER_URL"].rstrip("/")
        self._token = settings.environment["TRACE_WORKER_TOKEN"]
        self._worker_id = worker_id

    def claim(self, task_id: str) -> Claim:
        """Claim a task.

        Raises:
            TaskNotClaimed: it cannot be claimed.
            DispatcherUnavailable: the dispatcher did not answer with a claim.
        """
        sent = time.monotonic()
        body = {"task_id": task_id, "worker_id": self._worker_id}
        status, answer, date = self._ask("/internal/task-claim", {"X-Trace-Worker-Token": self._token}, body)
        if status == CONFLICT or (status == OK and answer.get("status") == "NotClaimed"):
            raise TaskNotClaimed(str(answer.get("reason", "conflict")))
        if status != OK:
            raise DispatcherUnavailable(f"the dispatcher answered a claim with {status}")
        try:
            documented = "task" in answer
            if documented and has_bug("lite-claims-only"):
                raise TaskNotClaimed("documented form")
            lease = _lease_seconds(answer["lease_expires_at"], date)
            return Claim(
                task_id=task_id,
                attempt=_attempt(answer["attempt"]),
                payload=answer["task"]["config"] if documented else answer["work_payload"],
                lease_end=sent + with_margin(lease),
                lease_seconds=lease,
                lease_token=answer["lease_token"],
                capability_token=answer["capability_token"],
            )
        except (KeyError, TypeError, ValueError):
            raise DispatcherUnavailable("the answer to a claim is malformed") from None

    def heartbeat(self, claim: Claim, timeout_seconds: float) -> float:
        """Renew a lease and return its new local end.

        Raises:
            LeaseLostResponse: the lease is lost.
            DispatcherUnavailable: there was no valid answer.
        """
        sent = time.monotonic()
        body = {"task_id": claim.task_id, "attempt": claim.attempt, "lease_token": claim.lease_token}
        status, answer, date = self._ask("/v1/task/heartbeat", _capability(claim), body, timeout_seconds)
        _check(status)
        try:
            return sent + with_margin(_lease_seconds(answer["lease_expires_at"], date))
        except (KeyError, TypeError, ValueError):
            raise DispatcherUnavailable("the answer to a heartbeat is malformed") from None

    def complete(self, claim: Claim, report: Mapping[str, Any], timeout_seconds: float) -> None:
        """Report how the attempt ended.

        Raises:
            LeaseLostResponse: the lease is lost, and nothing was published.
            MalformedRequest: the dispatcher rejects it as malformed.
            DispatcherUnavailable: there was no valid answer.
        """
        body = {"task_id": claim.task_id, "attempt": claim.attempt, "lease_token": claim.lease_token, **report}
        status, _, _ = self._ask("/v1/task/complete", _capability(claim), body, timeout_seconds)
        _check(status)

    def _ask(
        self, path: str, headers: dict[str, str], body: Mapping[str, Any], timeout_seconds: float = TIMEOUT_SECONDS
    ) -> tuple[int, dict[str, Any], str | None]:
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self._url + path, content, headers)  # noqa: S310 - the platform's own URL
        try:
            with urllib.request.urlopen(request, timeout=max(0.1, timeout_seconds)) as answer:  # noqa: S310 - as above
                status, text, date = answer.status, answer.read(), answer.headers.get("Date")
        except urllib.error.HTTPError as error:
            with error:
                status, text, date = error.code, b"", error.headers.get("Date")
        except (OSError, http.client.HTTPException) as error:
            raise DispatcherUnavailable(f"no answer from the dispatcher ({type(error).__name__})") from None
        try:
            fields = json.loads(text or b"{}")
        except ValueError:
            raise DispatcherUnavailable("the dispatcher's answer is not JSON") from None
        return status, fields if isinstance(fields, dict) else {}, date


def with_margin(lease_seconds: float) -> float:
    """Return how long a lease may be used (LSE-3)."""
    if has_bug("no-margin-to-the-lease"):
        return lease_seconds
    return max(1.0, lease_seconds - min(5.0, lease_seconds / 3))


def report(publication: Mapping[str, Any] | None, outcome: str, error_message: str | None) -> dict[str, Any]:
    """Return the fields of a completion that depend on how the attempt ended."""
    succeeded = outcome == "success"
    published = [publication] if publication is not None else []
    if has_bug("publishes-twice"):
        published *= 2
    status = "Completed" if succeeded or has_bug("always-completed") else "Failed"
    return {
        "status": status,
        "outcome": outcome,
        "events": [],
        "outputs": [],
        "datasets_published": published,
        "error_message": error_message,
    }


def _attempt(value: object) -> int:
    # It becomes the name of a directory.
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(value)
    return value


def _capability(claim: Claim) -> dict[str, str]:
    return {"X-Trace-Task-Capability": claim.capability_token}


def _check(status: int) -> None:
    if status in LEASE_IS_LOST:
        raise LeaseLostResponse(f"the dispatcher answered {status}")
    if status == BAD_REQUEST:
        raise MalformedRequest("the dispatcher rejected the request as malformed")
    if status != OK:
        raise DispatcherUnavailable(f"the dispatcher answered {status}")


def _lease_seconds(expires_at: str, date: str | None) -> float:
    """Return how long a lease lasts by the dispatcher's clock; this machine's clock may be wrong."""
    expires = datetime.fromisoformat(expires_at).timestamp()
    if date is None or has_bug("trusts-its-own-clock"):
        return expires - time.time()
    return expires - parsedate_to_datetime(date).timestamp()
