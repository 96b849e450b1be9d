"""Parses JSON-RPC responses and classifies their errors. Pure functions over untrusted bytes.

An error is final if a retry would return it again: the method is missing, the parameters are invalid, the data are
gone. Every other error may pass: a rate limit, a node that is behind, an internal error of the provider.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import msgspec

from cryo_ingest.ports import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, HISTORY_PRUNED = -32600, -32601, -32602, 4444
RATE_LIMIT_CODES = frozenset((429, -32005, -32007, -32016, -32029, -32097))
"""JSON-RPC error codes with which providers report a rate limit.

Cryo does not retry all of them: an error with code -32029 makes it fail at once (measured on Cryo 0.3.2).
"""

MAX_RETRY_AFTER_SECONDS = 300.0
MAX_TEXT = 2000
"""Characters of a message that are searched."""

MAX_ID_DIGITS = 19

OK = 200
REDIRECTS = frozenset((307, 308))
UNAUTHORIZED, FORBIDDEN = 401, 403
PAYMENT_REQUIRED = 402
TOO_MANY_REQUESTS = 429
PASSING_STATUS = frozenset((408, 425, TOO_MANY_REQUESTS))
TIMEOUT_STATUS = frozenset((408, 504, 524))
"""524 is Cloudflare's. Its 522 also says timeout, but means that it could not connect."""

SERVER_ERRORS = range(500, 600)


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_NOT_THERE = r"(?:not (?:available|supported|found|allowed|enabled|implemented|whitelisted|recognized|exist)|does ?n[o']t exist|do(?:es)? not exist|unavailable|unsupported|disabled|unknown|undefined)"  # noqa: E501 - one alternation
_NAME = r"[\"'`]?[a-z0-9]+_[a-z0-9_]+[\"'`]?"
_MISSING_METHOD = _words(
    rf"\bmethod\b[ :]*(?:{_NAME})?[ ,:]*(?:is |was |are |has been )?{_NOT_THERE}",
    rf"{_NAME} (?:is |was |has been )?{_NOT_THERE}",
    r"\b(?:unsupported|unknown|unrecognized|undefined|no such) (?:json-?)?(?:rpc )?method\b",
)
_INVALID_PARAMS = _words(
    r"invalid (?:argument|param|block (?:number|tag|param|id)|input|hex|tag|type|value|quantity)",
    r"hex string|unmarshal|missing value for required argument",
    r"(?:unknown|unsupported|invalid|unrecognized) block (?:tag|param|number|identifier)",
    r"\btag\b.{0,40}(?:not supported|unsupported|invalid|unknown)",
)
_NO_DATA = _words(
    r"\bprun|missing trie node|\barchiv|proof window|old data not available",
    r"\bhistor\w*.{0,60}(?:not available|unavailable|not found|not supported|not exist|missing|expired|not stored)",
    r"\b(?:no|missing|lacks?) (?:historical|history|state|receipts?)\b",
    r"\b(?:state|receipts?|ancients?|trace)\b.{0,60}(?:not available|unavailable|not found|missing|no longer)",
)
_RATE_LIMIT = _words(
    r"rate.?limit|too many|\blimit (?:exceeded|reached)|request limit|exceeded.{0,40}limit|compute units|throttl",
    r"slow down|per (?:second|minute)|/s(?:ec(?:ond)?)?\b|capacity|quota",
)
_LOG_RANGE = _words(
    r"(?:block )?range\b.{0,40}(?:too (?:large|wide|big)|exceed|not supported|limit)",
    r"exceeds? .{0,20}(?:block )?range|blocks? (?:are|is) not supported|is limited to .{0,20}blocks?",
    r"more than \d[\d,._]*k? (?:results|logs)|exceeds? (?:the )?max(?:imum)? (?:results|number of (?:results|logs))",
    r"query exceeds|response (?:size|is too (?:big|large))|too many (?:results|logs)",
    r"try (?:with this|paginating|a smaller)|range should work",
    r"logs? (?:limit|count) exceeded",
)
"""How nodes refuse `eth_getLogs` for its range or the number of its results; see `log_ranges`."""

_TIMED_OUT = _words(
    r"time[- ]?out|timed[- ]out|deadline (?:has )?(?:been )?exceeded|(?:takes|took|taking) too long",
    r"time limit|execution time|context cancell?ed|cancell?ed due to|(?:query|execution|request) aborted",
)
"""How nodes and proxies say that they stopped working on a request."""

_LIMITS_CALLS = _words(r"rate.?limit|too many requests|per (?:second|minute)|throttl|slow down")

_BEHIND = _words(r"header not found|unknown block\b(?! tag)|block.{0,20}not found|not yet|syncing|behind")
_PASSES = _words(
    _RATE_LIMIT.pattern,
    _BEHIND.pattern,
    r"try again|retry|temporar|timed? ?out|overload|busy|backend|upstream|currently|in progress|service",
)
"""Words that show that an error is not final, whatever else it says."""

_ABOUT_BATCHES = _words(r"\bbatch|too (?:large|big|long)|payload|request (?:entity|body|size)|content.?length")
_QUOTA_EXHAUSTED = _words(
    r"\b(?:month(?:ly)?|day|daily|yearly|annual)\b.{0,60}(?:limit|capacity|quota|request|usage|credit|allowance)",
    r"(?:limit|capacity|quota|credits?|requests?|usage).{0,60}\b(?:month(?:ly)?|daily|billing|(?:per|this|a) day)\b",
    r"(?:out of|no more|insufficient|exhausted) (?:\w+ )?credits?|credits?.{0,30}(?:exhausted|used up|depleted)",
    r"payment required|(?:subscription|plan|trial).{0,30}(?:expired|ended|exhausted|inactive|cancel)",
)
_SHORT_TERM = _words(r"(?:per|a|/) ?(?:second|minute)|/s\b")


class RequestFailed(Exception):
    """A request got no usable response; `reason` does not quote the endpoint.

    `final`: the same request will fail again; `about_size`: a smaller batch may be sent at once; `about_rate`: the
    endpoint limits the rate of calls; `about_time`: the request took too long; `error`: the error object in the
    response, if there is one.
    """

    def __init__(  # noqa: PLR0913 - each one is a fact that decides about the retry
        self,
        reason: str,
        *,
        final: bool = False,
        about_size: bool = False,
        about_rate: bool = False,
        about_time: bool = False,
        retry_after_seconds: float | None = None,
        error: NodeError | None = None,
    ) -> None:
        self.reason, self.final, self.about_size, self.about_rate = reason, final, about_size, about_rate
        self.about_time, self.retry_after_seconds, self.error = about_time, retry_after_seconds, error
        super().__init__(reason)


class OutOfTime(RequestFailed):
    """The attempt's deadline passed, before the request was sent or while it had no answer."""


class AnswerTooLarge(RequestFailed):
    """A response is larger than the worker's memory allows; fewer calls, or a smaller range, have a smaller one."""

    def __init__(self, max_bytes: int) -> None:
        reason = f"an answer of more than {max_bytes} bytes"
        super().__init__(reason, final=True, about_size=True, error=NodeError(0, reason))


def is_missing_method(error: NodeError) -> bool:
    """Return whether an error means that the node does not have the method."""
    text = error.message[:MAX_TEXT]
    if _PASSES.search(text) and not (error.code == METHOD_NOT_FOUND and not _RATE_LIMIT.search(text)):
        return False
    return error.code == METHOD_NOT_FOUND or (not _NO_DATA.search(text) and _MISSING_METHOD.search(text) is not None)


def is_final(error: NodeError) -> bool:
    """Return whether a retry would return the same error: missing method, invalid parameters or tag, no data."""
    text = error.message[:MAX_TEXT]
    if is_missing_method(error) or _LOG_RANGE.search(text) is not None:
        return True
    if _PASSES.search(text):
        return False
    return (
        error.code in {INVALID_PARAMS, HISTORY_PRUNED}
        or _INVALID_PARAMS.search(text) is not None
        or _NO_DATA.search(text) is not None
    )


def failure_of(error: NodeError) -> RequestFailed:
    """Describe an error that is not final, without quoting it."""
    text = error.message[:MAX_TEXT]
    if is_quota_exhausted(text):
        return RequestFailed(QUOTA_EXHAUSTED, final=True, error=error)
    about_size = error.code == INVALID_REQUEST or _ABOUT_BATCHES.search(text) is not None
    about_rate = error.code in RATE_LIMIT_CODES or _RATE_LIMIT.search(text) is not None
    about_time = is_timeout(error)
    if about_rate and not about_time:
        reason = RATE_LIMITED
    elif _BEHIND.search(text):
        reason = f"it does not know the block yet (error {error.code})"
    else:
        reason = f"it answered error {error.code}"
    return RequestFailed(
        reason, about_size=about_size, about_rate=about_rate and not about_time, about_time=about_time, error=error
    )


def is_timeout(error: NodeError) -> bool:
    """Return whether an error says that the node stopped working on the request because it took too long."""
    text = error.message[:MAX_TEXT]
    return _TIMED_OUT.search(text) is not None and _LIMITS_CALLS.search(text) is None


RATE_LIMITED = "it limits the rate"
QUOTA_EXHAUSTED = "the quota of its account's plan is exhausted"


def is_quota_exhausted(text: str) -> bool:
    """Return whether a provider's text says that the account's quota is exhausted, and not that it limits the rate."""
    return _QUOTA_EXHAUSTED.search(text) is not None and _SHORT_TERM.search(text) is None


def check_status(status: int, body: bytes, *, retry_after_seconds: float | None, indices: list[int]) -> dict[int, Any]:
    """Return the final error object in a response with an HTTP status other than 200, if it answers a single call.

    Cryo ignores the status, so a node that answers «method not found» with status 404 works with Cryo.

    Raises:
        RequestFailed: the response is anything else.
    """
    text = body[:MAX_TEXT].decode(errors="replace")
    error = _error_in(body)
    if status == PAYMENT_REQUIRED or is_quota_exhausted(text):
        raise RequestFailed(QUOTA_EXHAUSTED, final=True, error=error)
    passing = status in PASSING_STATUS or status in SERVER_ERRORS
    # Some providers answer 403 to a method that the account's plan does not include.
    is_answer = is_missing_method if status == FORBIDDEN else is_final
    may_be_answer = len(indices) == 1 and status not in {UNAUTHORIZED, *PASSING_STATUS}
    if may_be_answer and error is not None and is_answer(error):
        return {indices[0]: error}
    raise RequestFailed(
        f"it answered {status}",
        final=status in {UNAUTHORIZED, FORBIDDEN},
        about_size=not passing or (_ABOUT_BATCHES.search(text) is not None and retry_after_seconds is None),
        about_rate=status == TOO_MANY_REQUESTS,
        about_time=retry_after_seconds is None
        and (status in TIMEOUT_STATUS or (status in SERVER_ERRORS and error is not None and is_timeout(error))),
        retry_after_seconds=retry_after_seconds,
        error=error,
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read `Retry-After` as seconds.

    A date is compared with the response's `Date`, or with this machine's clock if there is none.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return min(float(value), MAX_RETRY_AFTER_SECONDS)
    at, answered = _timestamp(value), _timestamp(headers.get("Date", ""))
    if at is None:
        return None
    return min(max(0.0, at - (now if answered is None else answered)), MAX_RETRY_AFTER_SECONDS)


def _timestamp(date: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    try:
        return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


class _Envelope(msgspec.Struct):
    """A JSON-RPC response; `id`, `result` and `error` are JSON text, since nodes send anything in them."""

    id: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ENVELOPES = msgspec.json.Decoder(list[_Envelope])
_ENVELOPE = msgspec.json.Decoder(_Envelope)

JSON_ERRORS = (msgspec.DecodeError, ValueError, RecursionError)
"""What reading JSON from an untrusted source can raise."""


def parse_json(text: bytes | msgspec.Raw) -> Any:
    """Return the value of a JSON text.

    Raises:
        JSON_ERRORS: it is not JSON.
    """
    return msgspec.json.decode(text)


def parse_answers(
    content: bytes, indices: list[int], *, decode: Callable[[msgspec.Raw], Any] = parse_json
) -> dict[int, Any]:
    """Return the answers in a response by the ids of the calls; answers with other ids are left out.

    `decode` turns the JSON text of a result into what the caller wants; `bytes` keeps the text. An id may be a string
    of the number. An id that occurs twice counts only if both answers are equal.

    Raises:
        RequestFailed: it is not JSON-RPC, or it is one error for the complete batch.
    """
    try:
        if content.lstrip()[:1] == b"[":
            items = _envelopes(content)
            if len(indices) > 1:
                return _by_index(items, frozenset(indices), decode)
            if len(items) != 1:
                raise _unusable("its answer is not JSON-RPC", content)
            answer = _answer_of(items[0], decode)
        else:
            answer = _answer_of(_envelope(content), decode)
    except JSON_ERRORS:
        raise _unusable("its answer is not JSON", content) from None
    if answer is _NOTHING:
        raise _unusable("its answer is not JSON-RPC", content)
    if len(indices) == 1:
        return {indices[0]: answer}
    raise (
        failure_of(answer)
        if isinstance(answer, NodeError)
        else RequestFailed("it answered a batch with one result", about_size=True)
    )


def _envelopes(content: bytes) -> list[_Envelope]:
    """Return the envelopes in a list; anything else in it becomes an empty one."""
    try:
        return _ENVELOPES.decode(content)
    except msgspec.ValidationError:
        return [_envelope(item) for item in _LIST.decode(content)]


def _envelope(text: bytes | msgspec.Raw) -> _Envelope:
    try:
        return _ENVELOPE.decode(text)
    except msgspec.ValidationError:
        return _Envelope()


def _by_index(items: list[_Envelope], indices: frozenset[int], decode: Callable[[msgspec.Raw], Any]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    contradicted = set()
    for item in items:
        digits = bytes(item.id).strip(b'"')
        index = int(digits) if digits.isdigit() and len(digits) < MAX_ID_DIGITS else None
        if index not in indices:
            continue
        answer = _answer_of(item, decode)
        if answer is _NOTHING:
            continue
        if index in found and found[index] != answer:
            contradicted.add(index)
        found.setdefault(index, answer)
    return {index: answer for index, answer in found.items() if index not in contradicted}


def _unusable(reason: str, content: bytes) -> RequestFailed:
    """Describe a response that is not JSON-RPC: some gateways report a rate limit as plain text."""
    text = content[:MAX_TEXT].decode(errors="replace")
    if is_quota_exhausted(text):
        return RequestFailed(QUOTA_EXHAUSTED, final=True)
    about_size, about_rate = _ABOUT_BATCHES.search(text) is not None, _RATE_LIMIT.search(text) is not None
    about_time = _TIMED_OUT.search(text) is not None and not about_rate
    return RequestFailed(
        RATE_LIMITED if about_rate else reason, about_size=about_size, about_rate=about_rate, about_time=about_time
    )


_NOTHING = object()


def _answer_of(envelope: _Envelope, decode: Callable[[msgspec.Raw], Any]) -> Any:
    """Return the result in an envelope, or its error if that is an object; `_NOTHING` if it has neither."""
    text = bytes(envelope.error)
    if text and text != b"null":
        error = parse_json(text)
        if not isinstance(error, dict):
            return _NOTHING
        code, message = error.get("code"), error.get("message")
        node_error = NodeError(code if type(code) is int else 0, message if isinstance(message, str) else "")
        return replace(node_error, method_is_missing=is_missing_method(node_error))
    return decode(envelope.result) if bytes(envelope.result) else _NOTHING


def _error_in(body: bytes) -> NodeError | None:
    try:
        items = _envelopes(body) if body.lstrip()[:1] == b"[" else [_envelope(body)]
        answer = _answer_of(items[0], parse_json) if items else None
    except JSON_ERRORS:
        return None
    return answer if isinstance(answer, NodeError) else None
