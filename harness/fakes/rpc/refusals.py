"""How a pool refuses a whole request: the body and the dress of the answer, in each form that gateways use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.faults.rpc import Close, Refusal, Reset

if TYPE_CHECKING:
    from collections.abc import Callable


class Dress(NamedTuple):
    """What an answer's head says besides its length."""

    status: int
    content_type: str = "application/json"
    retry_after: str | None = None


def refused(request: object, refusal: Refusal) -> tuple[bytes, Dress | Reset | Close]:
    """Return the body that refuses a request, single or a batch, and what the wire does with it."""
    if refusal.form == "reset":
        return b"", Reset()
    if refusal.form == "close":
        return b"", Close()
    if (text := _TEXTS.get(refusal.form)) is not None:
        content_type, write = text
        return write(refusal.message).encode(), Dress(refusal.status, content_type, refusal.retry_after)
    body = json.dumps(_FORMS[refusal.form](_identifiers(request), refusal, isinstance(request, list)))
    return body.encode(), Dress(refusal.status, retry_after=refusal.retry_after)


def _identifiers(request: object) -> list[Any]:
    calls = request if isinstance(request, list) else [request]
    return [call.get("id") if isinstance(call, dict) else None for call in calls]


def _error(identifier: object, refusal: Refusal) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "error": {"code": refusal.code, "message": refusal.message}}


def _each(identifiers: list[Any], refusal: Refusal, is_batch: bool) -> object:  # noqa: FBT001 - as all forms
    errors = [_error(identifier, refusal) for identifier in identifiers]
    return errors if is_batch else errors[0]


def _each_null(identifiers: list[Any], refusal: Refusal, is_batch: bool) -> object:  # noqa: FBT001 - as all forms
    return _each([None] * len(identifiers), refusal, is_batch)


_FORMS: dict[str, Callable[[list[Any], Refusal, bool], object]] = {
    "object": lambda _, refusal, __: _error(None, refusal),
    "first": lambda identifiers, refusal, _: _error(next(iter(identifiers), None), refusal),
    "list": lambda identifiers, refusal, _: [_error(next(iter(identifiers), None), refusal)],
    "null-list": lambda _, refusal, __: [_error(None, refusal)],
    "each": _each,
    "each-null": _each_null,
    "bare": lambda _, refusal, __: {"error": {"code": refusal.code, "message": refusal.message}},
    "string": lambda _, refusal, __: {"error": refusal.message},
    "message": lambda _, refusal, __: {"message": refusal.message},
}
_TEXTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "html": ("text/html", lambda message: f"<html><body>{message}</body></html>"),
    "text": ("text/plain", lambda message: message),
    "empty": ("application/json", lambda _: ""),
}
