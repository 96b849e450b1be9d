"""Rejections of a whole request: body, status and headers, in each form that gateways use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.faults.rpc import Close, Refusal, Reset

if TYPE_CHECKING:
    from collections.abc import Callable


class ResponseHead(NamedTuple):
    """The status and the headers of a response, without its length."""

    status: int
    content_type: str = "application/json"
    retry_after: str | None = None


def rejection(request: object, refusal: Refusal) -> tuple[bytes, ResponseHead | Reset | Close]:
    """Return the body that rejects a request, single or a batch, and how it is sent."""
    if refusal.form == "reset":
        return b"", Reset()
    if refusal.form == "close":
        return b"", Close()
    if (text := _TEXTS.get(refusal.form)) is not None:
        content_type, write = text
        return write(refusal.message).encode(), ResponseHead(refusal.status, content_type, refusal.retry_after)
    body = json.dumps(_FORMS[refusal.form](_ids(request), refusal, isinstance(request, list)))
    return body.encode(), ResponseHead(refusal.status, retry_after=refusal.retry_after)


def _ids(request: object) -> list[Any]:
    calls = request if isinstance(request, list) else [request]
    return [call.get("id") if isinstance(call, dict) else None for call in calls]


def _error(call_id: object, refusal: Refusal) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, "error": {"code": refusal.code, "message": refusal.message}}


def _each(ids: list[Any], refusal: Refusal, is_batch: bool) -> object:  # noqa: FBT001 - the signature of all forms
    errors = [_error(call_id, refusal) for call_id in ids]
    return errors if is_batch else errors[0]


def _each_null(ids: list[Any], refusal: Refusal, is_batch: bool) -> object:  # noqa: FBT001 - the signature of all forms
    return _each([None] * len(ids), refusal, is_batch)


_FORMS: dict[str, Callable[[list[Any], Refusal, bool], object]] = {
    "object": lambda _, refusal, __: _error(None, refusal),
    "first": lambda ids, refusal, _: _error(next(iter(ids), None), refusal),
    "list": lambda ids, refusal, _: [_error(next(iter(ids), None), refusal)],
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
