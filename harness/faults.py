"""The faults that a scenario names, as it writes them down; the fakes carry them out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreFault(_Strict):
    """What happens to the `nth` store request of an operation whose key matches, and to later ones where `lasting`.

    Where `replacing`, only PUTs with If-Match are meant.
    """

    operation: Literal["put", "get", "list", "delete"]
    key: str = ""
    when: Literal["before", "after"] = "before"
    do: Literal["answer", "hang", "reset", "cut"] = "answer"
    status: int = Field(default=500, ge=400, le=599)
    code: str = "InternalError"
    nth: int = Field(default=1, ge=1)
    lasting: bool = False
    replacing: bool = False


class RpcFault(_Strict):
    """One line of the pool's script; `do` is an action of harness.fakes.rpc.actions."""

    method: str | None = None
    do: dict[str, Any]
    block: int | None = None
    node: str | None = None
    nth: int = Field(default=1, ge=1)
    every: int = Field(default=1, ge=1)
    times: int | None = Field(default=None, ge=1)


class DispatcherFaultLine(_Strict):
    """One line of the dispatcher's script; one that `may_miss` need not strike."""

    kind: Literal["claim", "heartbeat", "complete"]
    action: Literal[
        "status", "hang", "reset", "take-lease", "cancel", "rotate-token", "jump", "unknown-fields", "delay"
    ]
    nth: int = Field(default=1, ge=1)
    times: int | None = Field(default=1, ge=1)
    when: Literal["before", "after"] = "before"
    status: int = 503
    seconds: float = 0.0
    may_miss: bool = False


Action = Literal["SIGKILL", "SIGTERM", "SIGSTOP", "SIGCONT", "take-lease", "cancel", "start-worker", "age-staging"]


class Trigger(_Strict):
    """What the runner does at the `nth` event of a kind whose key, operation or text matches."""

    event: str
    match: str = ""
    nth: int = Field(default=1, ge=1)
    do: Action
    worker: int = Field(default=0, ge=0)
