"""How JSON-RPC answers look on the wire, and which are worth another try. Pure functions over untrusted bytes."""

from __future__ import annotations

import json
import re
from typing import Any

from cryo_ingest.ports import NodeError

RATE_LIMIT_CODES = frozenset((429, -32005, -32016, -32029))
"""Of JSON-RPC error objects: what providers answer when they limit the rate (real-cryo-0.3.2.md, section 4)."""

_PASSING = re.compile(
    r"rate.?limit|too many requests|limit exceeded|header not found|timed? ?out|temporar|overloaded|capacity",
    re.IGNORECASE,
)

LONGEST_RETRY_AFTER_SECONDS = 300.0

OK = 200
HALVE_STATUS = frozenset((400, 404, 405, 413, 414, 422))
"""Answers of servers that take no batches, or none so large."""

AGAIN_STATUS = frozenset((408, 425, 429))
SERVER_FAULTS = range(500, 600)


class Refused(Exception):
    """A request got no answer that can be used.

    `again`: the same request may do later; `halve`: a smaller batch may do.
    """

    def __init__(
        self, reason: str, *, again: bool = True, halve: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        self.reason, self.again, self.halve = reason, again, halve
        self.retry_after_seconds = retry_after_seconds
        super().__init__(reason)


def refuse_status(status: int, retry_after: str | None) -> None:
    """Refuse every HTTP status but 200.

    Raises:
        Refused: saying whether another try, when, or a smaller batch can help.
    """
    if status == OK:
        return
    again = status in AGAIN_STATUS or status in SERVER_FAULTS
    raise Refused(
        f"it answered {status}", again=again, halve=status in HALVE_STATUS, retry_after_seconds=_seconds(retry_after)
    )


def _seconds(retry_after: str | None) -> float | None:
    """Read `Retry-After` in seconds; a date, rare in the field, counts as none."""
    if retry_after is None or not re.fullmatch(r" *[0-9]{1,6}(\.[0-9]{1,6})? *", retry_after):
        return None
    return min(float(retry_after), LONGEST_RETRY_AFTER_SECONDS)


def parse_answers(content: bytes, places: list[int]) -> dict[int, Any]:
    """Return the answers of a response by the ids that were asked; what answers none of them is left out.

    Raises:
        Refused: it is no JSON-RPC at all, or one error for a whole batch.
    """
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        raise Refused("its answer is not JSON") from None
    if len(places) == 1 and isinstance(parsed, dict):
        answer = _answer_of(parsed)
        return {places[0]: answer} if answer is not _NOTHING else {}
    if isinstance(parsed, dict):
        error = _answer_of(parsed)
        limited = isinstance(error, NodeError) and is_worth_another_try(error)
        raise Refused("it limits the rate" if limited else "it refused a batch", halve=not limited)
    if not isinstance(parsed, list):
        raise Refused("its answer is not JSON-RPC")
    wanted, found = set(places), {}
    for item in parsed:
        if isinstance(item, dict) and type(item.get("id")) is int and item["id"] in wanted:
            answer = _answer_of(item)
            if answer is not _NOTHING:
                found[item["id"]] = answer
    return found


_NOTHING = object()


def _answer_of(envelope: dict[str, Any]) -> Any:
    error = envelope.get("error")
    if error is not None:
        code = error.get("code") if isinstance(error, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        return NodeError(code if type(code) is int else 0, message if isinstance(message, str) else "")
    return envelope.get("result", _NOTHING)


def is_worth_another_try(answer: Any) -> bool:
    """Tell whether an answer is an error that passes: a rate limit, a node that is behind for a moment."""
    return isinstance(answer, NodeError) and (
        answer.code in RATE_LIMIT_CODES or _PASSING.search(answer.message[:1000]) is not None
    )
