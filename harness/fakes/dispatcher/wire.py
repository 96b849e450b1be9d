"""What goes over the dispatcher's wire, read strictly: requests, answers, and what was wrong with a request.

A refusal carries the clause of contract.md that the request breaks; whether it also counts as a violation is the
machine's to say, since some refusals are no fault of the worker's (a stale lease, for one).
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
LARGEST_BODY_BYTES = 1024**2
"""No request of the contract comes near it."""

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
"""Exactly what each body holds (contract.md, "The wire")."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whatever carried it; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def kind(self) -> str | None:
        """`claim`, `heartbeat` or `complete`, or None for what the dispatcher does not have."""
        return PATHS.get(self.path)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body; `date` is the dispatcher's time of answering, in whole seconds on the wire."""

    status: int
    body: Mapping[str, Any] = field(repr=False)
    date: float = 0.0


@dataclass(frozen=True, slots=True)
class Violation:
    """A request outside the contract: the clause, what was wrong, and the request's number in the journal."""

    clause: str
    detail: str
    request: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer in the journal, all secrets replaced by labels; `at` is the dispatcher's time.

    `status` is None where no answer left the dispatcher (a fault that hangs or resets); `fault` says which struck.
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
    """A request that gets no effect: its status, the reason, and the clause it breaks (None: no violation)."""

    def __init__(self, status: int, reason: str, *, clause: str | None = None) -> None:
        self.status, self.reason, self.clause = status, reason, clause
        super().__init__(reason)


def read(request: Request) -> dict[str, Any]:
    """Return a request's fields.

    Raises:
        RequestRejected: it is not one of the three, not JSON, or its fields are not exactly those of the contract.
    """
    kind = request.kind
    if kind is None:
        raise RequestRejected(404, f"there is no {request.path}", clause="LSE-1")
    if request.method != "POST":
        raise RequestRejected(405, f"{request.path} takes POST", clause=CLAUSES[kind])
    if len(request.body) > LARGEST_BODY_BYTES:
        raise RequestRejected(413, f"the body has more than {LARGEST_BODY_BYTES} bytes", clause=CLAUSES[kind])
    try:
        fields = json.loads(request.body.decode(), parse_constant=_no_json, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise RequestRejected(
            400, "the body is not JSON in UTF-8, or names a field twice", clause=CLAUSES[kind]
        ) from None
    problems = difference(FIELDS[kind], fields)
    if problems:
        raise RequestRejected(400, "; ".join(problems), clause=CLAUSES[kind])
    return dict(fields)


def _no_json(name: str) -> None:
    """Refuse what Python reads and JSON does not have: NaN and the infinities."""
    raise ValueError(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, refusing one in which two readers could see different values."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a field is named twice")
    return made


def difference(expected: dict[str, type], fields: Any) -> list[str]:
    """Return how a body differs from its form; empty means not at all."""
    if not isinstance(fields, dict):
        return ["the body is no JSON object"]
    found = [f"{name} is missing" for name in expected if name not in fields]
    found += [f"{name} is unknown" for name in fields if name not in expected]
    for name, kind in expected.items():
        value = fields.get(name)
        if name in fields and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            found.append(f"{name} is no {kind.__name__}")
    if not found and not UUID.fullmatch(fields["task_id"]):
        found.append("task_id is no lower-case UUID")
    if not found and "worker_id" in fields and not fields["worker_id"].strip():
        found.append("worker_id is empty")
    return found


def peek(request: Request) -> Mapping[str, Any]:
    """Return what can be read of a body, however bad it is."""
    return json_object(request.body) or {}
