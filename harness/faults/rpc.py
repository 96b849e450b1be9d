"""Faults of the node: which calls they match, and what is done to the response.

There is one class for each action, with the action's parameters; `do` names it in a scenario. harness.fakes.rpc.wire
carries out a `Wire` action, harness.fakes.rpc.edits an `Edit`, harness.fakes.rpc.refusals a `Refusal`; a
`Member` is another node of the pool that answers.
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from harness.faults.occurrence import STRICT, Occurrence

HARNESS = "harness_"
"""The prefix of the methods between a pool and fake Cryo, which no real node has. A fault applies to one of these only
if it names the method: a fault that hit a script by accident would change the whole scenario."""
_FROM_RECEIPTS = frozenset(("eth_getLogs", "eth_getBlockReceipts", "eth_getTransactionReceipt"))
"""What a node answers from its receipts."""


def _json(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    return value


def _require_do(schema: dict[str, Any]) -> None:
    """Make `do` a required field of the JSON Schema: its default is for Python alone."""
    schema["required"] = ["do", *schema.get("required", [])]


Json = Annotated[Any, AfterValidator(_json)]
Count = Annotated[int, Field(ge=0)]
Nth = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
HttpStatus = Annotated[int, Field(ge=200, le=599)]
Form = Literal[
    "object", "first", "list", "null-list", "each", "each-null", "bare",
    "string", "message", "html", "text", "empty", "reset", "close",
]  # fmt: skip
"""How a whole request is refused, whether it is one call or a batch.

`object`: one JSON-RPC error with `id: null`; `first`: with the first call's id; `list`, `null-list`: a list that holds
only that one; `each`: the error for each call; `each-null`: the same with `id: null`; `bare`: only the field `error`;
`string`: `{"error": "…"}`; `message`: `{"message": "…"}`; `html`, `text`, `empty`: such a body; `reset`, `close`: no
answer, the connection ends.
"""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(**STRICT, json_schema_extra=_require_do))
class RpcFault(Occurrence):
    """The calls that a fault matches: those of a `method`, about a `block`, to a `node`; None matches any.

    A fault that `may_miss` does not have to apply: a worker that sends no batches never meets a limit of their size.
    """

    method: str | None = None
    block: Count | None = None
    node: Literal["main", "other"] | None = None
    may_miss: bool = False

    @property
    def do(self) -> str:
        """The action's name; each class has its own."""
        raise NotImplementedError

    def matches(self, method: str, blocks: tuple[int, int] | None, node: str) -> bool:
        """Return whether a call matches; `blocks` is the inclusive range that it is about, where there is one."""
        if self.method not in {None, method} or self.node not in {None, node}:
            return False
        if self.method is None and method.startswith(HARNESS):
            return False
        if not _changes(self, method, blocks):
            return False
        return self.block is None or (blocks is not None and blocks[0] <= self.block <= blocks[1])

    def matches_batch(self, methods: list[str], node: str) -> bool:
        """Return whether a batch of calls matches."""
        if not isinstance(self, BatchLimit) or self.node not in {None, node}:
            return False
        return len(methods) > self.calls and (self.method is None or self.method in methods)

    def __str__(self) -> str:
        """Name the fault in a history."""
        return f"rpc {self.method or '*'} {self.do} #{self.nth}"


@dataclass(frozen=True)
class Status(RpcFault):
    """An HTTP status with a body; `with_result` sends the true answer under that status."""

    code: HttpStatus
    body: str = "<html>no</html>"
    retry_after: str | None = None
    with_result: bool = False
    do: Literal["status"] = field(default="status", kw_only=True)


@dataclass(frozen=True)
class Delay(RpcFault):
    """The true answer, `seconds` late."""

    seconds: Seconds
    do: Literal["delay"] = field(default="delay", kw_only=True)


@dataclass(frozen=True)
class Hang(RpcFault):
    """No answer, ever; the connection stays open."""

    do: Literal["hang"] = field(default="hang", kw_only=True)


@dataclass(frozen=True)
class Reset(RpcFault):
    """The connection is reset (TCP RST)."""

    do: Literal["reset"] = field(default="reset", kw_only=True)


@dataclass(frozen=True)
class Close(RpcFault):
    """The connection is closed without an answer."""

    do: Literal["close"] = field(default="close", kw_only=True)


@dataclass(frozen=True)
class Truncate(RpcFault):
    """Half the body that the headers promise, then the end of the connection."""

    do: Literal["truncate"] = field(default="truncate", kw_only=True)


@dataclass(frozen=True)
class Stop(RpcFault):
    """The whole pool goes away: no answer, all connections reset, nobody listens any more."""

    do: Literal["stop"] = field(default="stop", kw_only=True)


@dataclass(frozen=True)
class Raw(RpcFault):
    """Status 200 with this body, whatever it is."""

    body: str
    do: Literal["raw"] = field(default="raw", kw_only=True)


@dataclass(frozen=True)
class Error(RpcFault):
    """A JSON-RPC error; `null_id` answers with `id: null`, as some providers do when they limit the rate."""

    code: int
    message: str
    data: Json = None
    null_id: bool = False
    do: Literal["error"] = field(default="error", kw_only=True)


@dataclass(frozen=True)
class Envelope(RpcFault):
    """The true result in a broken envelope: fields replaced or added (`{"id": null}`, `{"extra": 1}`)."""

    fields: Annotated[dict[str, Any], AfterValidator(_json)]
    do: Literal["envelope"] = field(default="envelope", kw_only=True)


@dataclass(frozen=True)
class Result(RpcFault):
    """Another result: null, `{}`, `[]`, another chain id, a stale head."""

    value: Json = None
    do: Literal["result"] = field(default="result", kw_only=True)


@dataclass(frozen=True)
class OtherBlock(RpcFault):
    """The answer for the block `offset` further on."""

    offset: int = 1
    do: Literal["other-block"] = field(default="other-block", kw_only=True)


@dataclass(frozen=True)
class Items(RpcFault):
    """A list result made short (`first`), reversed, without every nth item, or without one transaction's items.

    `without_transaction` is that transaction's place in the block, for items that name theirs.
    """

    first: Count | None = None
    reverse: bool = False
    without_every: Nth | None = None
    without_transaction: Count | None = None
    do: Literal["items"] = field(default="items", kw_only=True)


@dataclass(frozen=True)
class Fields(RpcFault):
    """Fields of the result (of each item of a list) set or dropped; `within` names a list inside an object."""

    values: Annotated[dict[str, Any], AfterValidator(_json)] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    within: str | None = None
    do: Literal["fields"] = field(default="fields", kw_only=True)


@dataclass(frozen=True)
class Pruned(RpcFault):
    """The answer of a node that has pruned logs and receipts below block `below`; its headers are complete.

    `eth_getLogs` finds nothing there, by range and by hash. `eth_getTransactionReceipt` is null; `receipts` says what
    `eth_getBlockReceipts` is: null, an empty list, or error 4444. Only calls that this changes count for the fault, so
    that with `every` = 2 one of two members of a balanced pool is pruned.
    """

    below: Count
    receipts: Literal["null", "empty", "error"] = "null"
    do: Literal["pruned"] = field(default="pruned", kw_only=True)


@dataclass(frozen=True)
class Lagging(RpcFault):
    """The answer of a member of a balanced pool whose newest block is `head`.

    Later blocks and receipts are null there, later logs are not found; by a hash that it does not know `eth_getLogs`
    finds nothing either (`unknown_hash` = empty), or fails (error). Only calls that this changes count for the fault.
    """

    head: Count
    unknown_hash: Literal["empty", "error"] = "empty"
    do: Literal["lagging"] = field(default="lagging", kw_only=True)


@dataclass(frozen=True)
class BatchLimit(RpcFault):
    """A batch of more than `calls` calls is refused as a whole; 0 refuses every batch.

    Batches count for the fault, not calls; with a `method`, those that hold such a call.
    """

    calls: Count
    form: Form = "object"
    status: HttpStatus = 200
    code: int = -32600
    message: str = "batch too large"
    retry_after: str | None = None
    do: Literal["batch-limit"] = field(default="batch-limit", kw_only=True)


@dataclass(frozen=True)
class Outage(RpcFault):
    """The gateway is out of order: this request is refused, and all later ones until the outage is over.

    It is over when `requests` requests of any method, this one included, have been refused and `seconds` have passed.
    """

    requests: Nth = 1
    seconds: Seconds = 0.0
    form: Form = "each"
    status: HttpStatus = 200
    code: int = -32603
    message: str = "Internal error"
    retry_after: str | None = None
    do: Literal["outage"] = field(default="outage", kw_only=True)


@dataclass(frozen=True)
class Reorg(RpcFault):
    """From this call on, the endpoint's chain is another one from block `at` on."""

    at: Count
    branch: int = 1
    do: Literal["reorg"] = field(default="reorg", kw_only=True)


Wire = Status | Delay | Hang | Reset | Close | Truncate | Stop
Edit = Result | Items | Fields
Refusal = BatchLimit | Outage
Member = Pruned | Lagging
Action = Wire | Edit | Raw | Error | Envelope | OtherBlock | Reorg | Refusal | Member
AnyRpcFault = Annotated[Action, Field(discriminator="do")]
"""A fault as a scenario writes it."""
ACTIONS: tuple[str, ...] = tuple(kind.__dataclass_fields__["do"].default for kind in get_args(Action))


def _changes(fault: RpcFault, method: str, blocks: tuple[int, int] | None) -> bool:
    """Return whether a fault makes a difference to a call."""
    match fault:
        case BatchLimit():
            return False
        case Pruned(below):
            return method in _FROM_RECEIPTS and blocks is not None and blocks[0] < below
        case Lagging(head):
            return method == "eth_blockNumber" or (blocks is not None and blocks[1] > head)
    return True


def read(fields: Any) -> list[RpcFault]:
    """Return the faults of a JSON list, written as in a scenario: `[{"method": …, "do": "status", "code": 503}]`.

    Raises:
        pydantic.ValidationError: one of them has no such action, or a field that is missing, unknown or wrong.
    """
    return list(TypeAdapter(list[AnyRpcFault]).validate_python(fields))
