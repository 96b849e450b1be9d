"""Faults of the object store: which S3 requests they match, and what happens to these requests."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Annotated, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from harness.faults.occurrence import STRICT, Occurrence, Pattern

Operation = Literal["put", "get", "list", "delete", "any"]
Refusal = Literal["clock-skew", "expired-token", "slow-down"]
Defect = Literal["keep-empty", "keep-half", "keep-framed", "ignore-conditions", "refuse-quoted-etags"]
DEFECTS: tuple[Defect, ...] = get_args(Defect)
SKEW_SECONDS = 1200.0
"""`clock-skew` moves the `Date` of the response by this; S3 allows clocks to differ by 15 minutes."""
RESPONSES: dict[str, tuple[int, str, str]] = {
    "clock-skew": (
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    ),
    "expired-token": (400, "ExpiredToken", "The provided token has expired."),
    "slow-down": (503, "SlowDown", "Please reduce your request rate."),
    "refuse-quoted-etags": (
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    ),
}
"""HTTP status, error code and message of S3 (Amazon S3 API reference, "Error responses")."""
_METHODS = {"put": ("PUT",), "get": ("GET",), "list": ("GET",), "delete": ("DELETE", "POST")}
_CONDITIONS = {"refuse-quoted-etags": ("If-Match",), "ignore-conditions": ("If-Match", "If-None-Match")}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StoreFault(Occurrence):
    """A fault of the store, for requests of an `operation` whose `key` matches; `key` applies only to put and get.

    With `replacing`, only PUTs with If-Match match. With `when` = after, the store executes the request first; with
    before, it never receives the request. `do` is one of

    - `answer` (with `status` and `code`), `hang` (no response), `reset` (the connection is reset), `cut` (the
      connection ends in the middle of the response's body);
    - a rejection: `clock-skew` (the response's `Date` is ahead), `expired-token`, `slow-down`;
    - a defect: the store answers PUTs like a correct store but stores wrong bytes (`keep-empty`, `keep-half`,
      `keep-framed`: with the framing of a streamed upload), ignores If-Match and If-None-Match (`ignore-conditions`),
      or answers an If-Match in quotes with 412 (`refuse-quoted-etags`).

    With `may_miss`, the scenario is valid even if the fault never applies.
    """

    operation: Operation
    key: Pattern = ""
    when: Literal["before", "after"] = "before"
    do: Literal["answer", "hang", "reset", "cut", Refusal, Defect] = "answer"
    status: Annotated[int, Field(ge=400, le=599)] = 500
    code: str = "InternalError"
    replacing: bool = False
    may_miss: bool = False

    def matches(self, method: str, path: str, query: str, headers: Container[str]) -> bool:
        """Return whether an S3 request with a path-style address matches, in any bucket; `path` is decoded."""
        bucket, _, key = path.lstrip("/").partition("/")
        if not bucket or (self.operation != "any" and method not in _METHODS[self.operation]):
            return False
        conditions = ("If-Match",) if self.replacing else _CONDITIONS.get(self.do, ())
        if conditions and not any(name in headers for name in conditions):
            return False
        match self.operation:
            case "put" | "get":
                return key != "" and re.search(self.key, key) is not None
            case "list":
                return key == ""
            case "delete":
                # A POST of a multipart upload deletes nothing.
                return not query.startswith("upload")
        return True

    @property
    def response(self) -> tuple[int, str, str]:
        """The HTTP status, error code and message of a rejected request."""
        return RESPONSES.get(self.do, (self.status, self.code, "injected by the scenario"))

    @property
    def answered_status(self) -> int | None:
        """The status that the client receives; None if it receives no complete response."""
        return None if self.do in {"hang", "reset", "cut"} else self.response[0]

    @property
    def defect(self) -> Defect | None:
        """The defect of the store, or None if `do` is not a defect."""
        return next((defect for defect in DEFECTS if defect == self.do), None)

    def __str__(self) -> str:
        """Name the fault in a history."""
        what = f"{self.do} {self.status} {self.when}" if self.do in {"answer", "hang", "reset", "cut"} else self.do
        return f"store {self.operation} {self.key or '*'} {what} #{self.nth}"
