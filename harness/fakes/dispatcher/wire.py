"""The dispatcher's requests and answers, parsed strictly, and the errors of a request.

A rejection has the clause of contract.md that the request breaks, or None if it is not a violation: a stale lease, for
example, is not the worker's fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.json_utils import json_object

CLAIM, HEARTBEAT, COMPLETE = "claim", "heartbeat", "complete"
PATHS = {
    "/internal/task-claim": CLAIM,
    "/v1/task/heartbeat": HEARTBEAT,
    "/v1/task/complete": COMPLETE,
}
CLAUSES = {CLAIM: "LSE-1", HEARTBEAT: "LSE-2", COMPLETE: "OUT-1"}
"""The clause that a malformed request breaks."""

TOKEN_HEADERS = {
    CLAIM: "x-trace-worker-token",
    HEARTBEAT: "x-trace-task-capability",
    COMPLETE: "x-trace-task-capability",
}
MAX_BODY_BYTES = 1024**2
"""Far more than any request of the contract needs."""

STATUS_OF = {"success": "Completed", "retryable_error": "Failed", "fatal_error": "Failed"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

FIELDS: dict[str, dict[str, type]] = {
    CLAIM: {"task_id": str, "worker_id": str},
    HEARTBEAT: {"task_id": str, "attempt": int, "lease_token": str},
    COMPLETE: {
        "task_id": str,
        "attempt": int,
        "lease_token": str,
        "status": str,
        "outcome": str,
        "events": list,
        "outputs": list,
        "datasets_published": list,
        "error_message": object,
    },
}
"""The exact fields of each body and their types (contract.md, "The wire")."""


@dataclass(frozen=True, slots=True)
class DispatcherRequest:
    """One request, independent of the transport; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def kind(self) -> str | None:
        """`claim`, `heartbeat` or `complete`, or None for an unknown path."""
        return PATHS.get(self.path)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body; `date` is the dispatcher's time, which the `Date` header gives in whole seconds."""

    status: int
    body: Mapping[str, Any] = field(repr=False)
    date: float = 0.0


@dataclass(frozen=True, slots=True)
class RequestViolation:
    """A request that breaks the contract: the clause, the reason, and the request's number in the journal."""

    clause: str
    detail: str
    request: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer in the journal, with labels instead of secrets; `at` is the dispatcher's time.

    `status` is None if no answer was sent because a fault hung or reset the connection; `fault` names the faults that
    fired.
    """

    number: int
    at: float
    kind: str | None
    task_id: str | None
    attempt: int | None
    request: Mapping[str, Any]
    status: int | None
    answer: Mapping[str, Any]
    fault: str | None = None


class RequestRejected(Exception):
    """A request that has no effect: the status, the reason, and the clause that it breaks (None: no violation)."""

    def __init__(self, status: int, reason: str, *, clause: str | None = None) -> None:
        self.status, self.reason, self.clause = status, reason, clause
        super().__init__(reason)


def read(request: DispatcherRequest) -> dict[str, Any]:
    """Return the fields of a request.

    Raises:
        RequestRejected: its path is unknown, it is not JSON, or its fields are not exactly those of the contract.
    """
    kind = request.kind
    if kind is None:
        raise RequestRejected(404, f"there is no path {request.path}", clause="LSE-1")
    if request.method != "POST":
        raise RequestRejected(405, f"{request.path} takes POST", clause=CLAUSES[kind])
    if len(request.body) > MAX_BODY_BYTES:
        raise RequestRejected(413, f"the body has more than {MAX_BODY_BYTES} bytes", clause=CLAUSES[kind])
    try:
        fields = json.loads(request.body.decode(), parse_constant=_reject_constant, object_pairs_hook=_unique_fields)
    except (ValueError, RecursionError):
        raise RequestRejected(
            400, "the body is not JSON in UTF-8, or has a duplicate field", clause=CLAUSES[kind]
        ) from None
    problems = difference(FIELDS[kind], fields)
    if problems:
        raise RequestRejected(400, "; ".join(problems), clause=CLAUSES[kind])
    return dict(fields)


def _reject_constant(name: str) -> None:
    """Reject NaN and the infinities, which Python accepts and JSON does not have."""
    raise ValueError(name)


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; reject duplicate fields, from which two parsers could read different values."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("duplicate field")
    return fields


def difference(expected: dict[str, type], fields: Any) -> list[str]:
    """Return the differences of a body from the expected fields; an empty list means that there are none."""
    if not isinstance(fields, dict):
        return ["the body is not a JSON object"]
    differences = [f"{name} is missing" for name in expected if name not in fields]
    differences += [f"{name} is unknown" for name in fields if name not in expected]
    for name, kind in expected.items():
        value = fields.get(name)
        if name in fields and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            differences.append(f"{name} is not of type {kind.__name__}")
    if not differences and not UUID.fullmatch(fields["task_id"]):
        differences.append("task_id is not a lower-case UUID")
    if not differences and "worker_id" in fields and not fields["worker_id"].strip():
        differences.append("worker_id is empty")
    return differences


def read_unchecked(request: DispatcherRequest) -> Mapping[str, Any]:
    """Return the fields of a body without checking them; none if it can't be parsed."""
    return json_object(request.body) or {}
