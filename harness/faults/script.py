"""The lines of a scenario's faults and triggers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from harness.faults import actions


class Strict(BaseModel):
    """A table of a scenario: no other fields than its own, no NaN, and nothing that changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


def _an_action(fields: dict[str, Any]) -> dict[str, Any]:
    actions.from_json(fields)
    return fields


Pattern = Annotated[str, AfterValidator(_compiled)]


StoreDefect = Literal["keep-empty", "keep-half", "keep-framed", "ignore-conditions", "refuse-quoted-etags"]
StoreRefusal = Literal["clock-skew", "expired-token", "slow-down"]
REFUSALS: dict[str, tuple[int, str, str]] = {
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
"""What S3 answers: HTTP status, error code and message (Amazon S3 API reference, "Error responses")."""


class StoreFault(Strict):
    """What happens to the `nth` store request of an operation whose key matches, and to the next, `times` in all.

    A `lasting` one never ends. Where `replacing`, only PUTs with If-Match are meant. `do` is one of

    - `answer` (with `status` and `code`), `hang`, `reset`, `cut`;
    - a refusal by name: `clock-skew` (the answer's `Date` is ahead), `expired-token`, `slow-down`;
    - a defect of the store, which answers PUTs as a good one does but keeps other bytes (`keep-empty`, `keep-half`,
      `keep-framed`: with the framing of a streamed upload), ignores If-Match and If-None-Match (`ignore-conditions`),
      or answers an If-Match in quotes with 412 (`refuse-quoted-etags`).
    """

    operation: Literal["put", "get", "list", "delete", "any"]
    key: Pattern = ""
    when: Literal["before", "after"] = "before"
    do: Literal["answer", "hang", "reset", "cut"] | StoreRefusal | StoreDefect = "answer"
    status: int = Field(default=500, ge=400, le=599)
    code: str = "InternalError"
    nth: int = Field(default=1, ge=1)
    times: int = Field(default=1, ge=1)
    lasting: bool = False
    replacing: bool = False


class RpcFault(Strict):
    """One line of the pool's script: `do` is an action of harness.faults.actions.

    A line that `may_miss` need not strike: a worker that sends no batches never meets a limit of their size.
    """

    method: str | None = None
    do: Annotated[dict[str, Any], AfterValidator(_an_action)]
    block: int | None = Field(default=None, ge=0)
    node: Literal["main", "other"] | None = None
    nth: int = Field(default=1, ge=1)
    every: int = Field(default=1, ge=1)
    times: int | None = Field(default=None, ge=1)
    may_miss: bool = False


class DispatcherFaultLine(Strict):
    """One line of the dispatcher's script; one that `may_miss` need not strike."""

    kind: Literal["claim", "heartbeat", "complete"]
    do: Literal["status", "hang", "reset", "take-lease", "cancel", "rotate-token", "jump", "unknown-fields", "delay"]
    nth: int = Field(default=1, ge=1)
    times: int | None = Field(default=1, ge=1)
    when: Literal["before", "after"] = "before"
    status: int = Field(default=503, ge=100, le=599)
    seconds: float = Field(default=0.0, ge=-1e9, le=1e9)
    may_miss: bool = False


Action = Literal[
    "SIGKILL", "SIGTERM", "SIGSTOP", "SIGCONT",
    "take-lease", "cancel", "deny-heartbeat", "start-worker", "age-staging",
]  # fmt: skip


class Trigger(Strict):
    """What the runner does at the `nth` event of a kind whose key, operation or text matches."""

    event: str
    match: Pattern = ""
    nth: int = Field(default=1, ge=1)
    do: Action
    worker: int = Field(default=0, ge=0)
