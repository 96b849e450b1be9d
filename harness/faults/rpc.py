"""Faults of the node: which calls they match, and how they change the response.

Each action has a class with the action's parameters; `do` is its name in a scenario. Some actions form a group:

- `Wire` changes how a response is sent; harness.fakes.rpc.wire carries it out.
- `Edit` changes a result; harness.fakes.rpc.edits carries it out.
- `Refusal` rejects a whole request; harness.fakes.rpc.refusals carries it out.
- `Member` gives the result of another, worse node of the same pool.
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from harness.faults.occurrence import STRICT, Occurrence

HARNESS_METHOD_PREFIX = "harness_"
"""The prefix of the methods that fake Cryo calls; real nodes do not have them."""
_FROM_RECEIPTS = frozenset(("eth_getLogs", "eth_getBlockReceipts", "eth_getTransactionReceipt"))
"""Methods whose results a node computes from receipts."""


def _json(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    return value


def _require_do(schema: dict[str, Any]) -> None:
    """Make `do` a required field of the JSON Schema; its default is only for Python code."""
    schema["required"] = ["do", *schema.get("required", [])]


Json = Annotated[Any, AfterValidator(_json)]
Count = Annotated[int, Field(ge=0)]
Nth = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
HttpStatus = Annotated[int, Field(ge=200, le=599)]
RejectionForm = Literal[
    "object", "first", "list", "null-list", "each", "each-null", "bare",
    "string", "message", "html", "text", "empty", "reset", "close",
]  # fmt: skip
"""The form of the response that rejects a whole request, a single call or a batch.

| form | response; an error is `{"jsonrpc": "2.0", "id": …, "error": {"code": …, "message": …}}` |
|---|---|
| `object` | one error with `id: null` |
| `first` | one error with the id of the first call |
| `list` | a list with one error, with the id of the first call |
| `null-list` | a list with one error, with `id: null` |
| `each` | an error for each call; for a batch a list of them |
| `each-null` | the same, with `id: null` |
| `bare` | `{"error": {"code": …, "message": …}}` |
| `string` | `{"error": "…"}` |
| `message` | `{"message": "…"}` |
| `html`, `text` | the message as HTML or as plain text |
| `empty` | an empty body |
| `reset`, `close` | no response; the connection is reset (TCP RST) or closed |
"""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(**STRICT, json_schema_extra=_require_do))
class RpcFault(Occurrence):
    """A fault of the node.

    It applies to calls of `method`, for `block`, to `node`; None matches any. With `may_miss`, the scenario is valid
    even if the fault never applies: a worker that sends no batches, for example, never exceeds a limit on their size.
    With `counts` = `requests`, HTTP requests with a matching call are counted, and the fault applies to all calls of
    the request: "one request in 100" then means the same for workers with and without batches.
    """

    method: str | None = None
    block: Count | None = None
    node: Literal["main", "other", "second"] | None = None
    may_miss: bool = False
    counts: Literal["calls", "requests"] = "calls"

    @property
    def do(self) -> str:
        """The action's name; each class has its own."""
        raise NotImplementedError

    def matches(self, method: str, blocks: tuple[int, int] | None, node: str) -> bool:
        """Return whether a call matches; `blocks` is the inclusive range that it asks for, or None.

        Without a `method`, the harness's own methods do not match: faults in them would change the whole scenario.
        """
        if self.method not in {None, method} or self.node not in {None, node}:
            return False
        if self.method is None and method.startswith(HARNESS_METHOD_PREFIX):
            return False
        if not _affects(self, method, blocks):
            return False
        return self.block is None or (blocks is not None and blocks[0] <= self.block <= blocks[1])

    def matches_batch(self, methods: list[str], node: str) -> bool:
        """Return whether a batch of calls matches."""
        if not isinstance(self, BatchLimit) or self.node not in {None, node}:
            return False
        return len(methods) > self.calls and (self.method is None or self.method in methods)

    @property
    def needs_calls(self) -> bool:
        """Whether it depends on more of a request than the methods of its calls."""
        if isinstance(self, BatchLimit | RateLimit):
            return False
        return self.counts == "calls" or self.block is not None or isinstance(self, Pruned | Lagging)

    def __str__(self) -> str:
        """Name the fault in a history."""
        return f"rpc {self.method or '*'} {self.do} #{self.nth}"


@dataclass(frozen=True)
class Status(RpcFault):
    """An HTTP status with `body`; `with_result` sends the correct response body with that status instead."""

    code: HttpStatus
    body: str = "<html>no</html>"
    retry_after: str | None = None
    with_result: bool = False
    do: Literal["status"] = field(default="status", kw_only=True)


@dataclass(frozen=True)
class Delay(RpcFault):
    """The correct response, `seconds` late."""

    seconds: Seconds
    do: Literal["delay"] = field(default="delay", kw_only=True)


@dataclass(frozen=True)
class Hang(RpcFault):
    """No response; the connection stays open."""

    do: Literal["hang"] = field(default="hang", kw_only=True)


@dataclass(frozen=True)
class Reset(RpcFault):
    """The connection is reset (TCP RST)."""

    do: Literal["reset"] = field(default="reset", kw_only=True)


@dataclass(frozen=True)
class Close(RpcFault):
    """The connection is closed without a response."""

    do: Literal["close"] = field(default="close", kw_only=True)


@dataclass(frozen=True)
class Truncate(RpcFault):
    """Half of the body that Content-Length announces, then the connection is closed."""

    do: Literal["truncate"] = field(default="truncate", kw_only=True)


@dataclass(frozen=True)
class Stop(RpcFault):
    """The server of the pool stops: no response, all connections are reset, and the port is closed."""

    do: Literal["stop"] = field(default="stop", kw_only=True)


@dataclass(frozen=True)
class Raw(RpcFault):
    """Status 200 with `body`, which need not be JSON."""

    body: str
    do: Literal["raw"] = field(default="raw", kw_only=True)


@dataclass(frozen=True)
class Error(RpcFault):
    """A JSON-RPC error; with `null_id` it has `id: null`, as some providers send when they limit the rate."""

    code: int
    message: str
    data: Json = None
    null_id: bool = False
    do: Literal["error"] = field(default="error", kw_only=True)


@dataclass(frozen=True)
class Envelope(RpcFault):
    """The correct result in a broken envelope: `fields` are replaced or added (`{"id": null}`, `{"extra": 1}`)."""

    fields: Annotated[dict[str, Any], AfterValidator(_json)]
    do: Literal["envelope"] = field(default="envelope", kw_only=True)


@dataclass(frozen=True)
class Result(RpcFault):
    """Another result, `value`: for example null, `{}`, `[]`, another chain id, a stale head."""

    value: Json = None
    do: Literal["result"] = field(default="result", kw_only=True)


@dataclass(frozen=True)
class OtherBlock(RpcFault):
    """The response for the block that is `offset` blocks later."""

    offset: int = 1
    do: Literal["other-block"] = field(default="other-block", kw_only=True)


@dataclass(frozen=True)
class Items(RpcFault):
    """Changes a result that is a list.

    `first` keeps that number of items, `reverse` reverses their order, `without_every` removes every nth item.
    `without_transaction` removes the items of one transaction: 0 is the first transaction that occurs in the list. It
    affects only items with a transaction hash.
    """

    first: Count | None = None
    reverse: bool = False
    without_every: Nth | None = None
    without_transaction: Count | None = None
    do: Literal["items"] = field(default="items", kw_only=True)


@dataclass(frozen=True)
class Fields(RpcFault):
    """Sets or removes fields of the result, or of each item if it is a list; `within` names a list inside an object."""

    values: Annotated[dict[str, Any], AfterValidator(_json)] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    within: str | None = None
    do: Literal["fields"] = field(default="fields", kw_only=True)


@dataclass(frozen=True)
class Pruned(RpcFault):
    """The response of a node that has pruned logs and receipts below block `below`; its headers are complete.

    There `eth_getLogs` finds nothing, by range and by hash, `eth_getTransactionReceipt` returns null, and
    `eth_getBlockReceipts` returns null, an empty list, or error 4444, as `receipts` says. Only calls whose response
    would change are counted for `nth`, `every` and `times`. So with `every` = 2 it looks as if one of two nodes behind
    a load balancer were pruned.
    """

    below: Count
    receipts: Literal["null", "empty", "error"] = "null"
    do: Literal["pruned"] = field(default="pruned", kw_only=True)


@dataclass(frozen=True)
class Lagging(RpcFault):
    """The response of a node behind a load balancer whose newest block is `head`.

    Later blocks and receipts are null, later logs are not found. For an unknown block hash, `eth_getLogs` returns an
    empty list (`unknown_hash` = empty) or an error (error). Only calls whose response would change are counted.
    """

    head: Count
    unknown_hash: Literal["empty", "error"] = "empty"
    do: Literal["lagging"] = field(default="lagging", kw_only=True)


@dataclass(frozen=True)
class BatchLimit(RpcFault):
    """A batch of more than `calls` calls is rejected as a whole; 0 rejects every batch.

    `nth`, `every` and `times` count batches, not calls; with a `method`, only batches that contain a call of it.
    """

    calls: Count
    form: RejectionForm = "object"
    status: HttpStatus = 200
    code: int = -32600
    message: str = "batch too large"
    retry_after: str | None = None
    do: Literal["batch-limit"] = field(default="batch-limit", kw_only=True)


@dataclass(frozen=True)
class Outage(RpcFault):
    """An outage of the gateway: this request and all later ones are rejected until the outage ends.

    It ends when `requests` requests of any method, including this one, have been rejected and `seconds` have passed.
    """

    requests: Nth = 1
    seconds: Seconds = 0.0
    form: RejectionForm = "each"
    status: HttpStatus = 200
    code: int = -32603
    message: str = "Internal error"
    retry_after: str | None = None
    do: Literal["outage"] = field(default="outage", kw_only=True)


@dataclass(frozen=True)
class RateLimit(RpcFault):
    """Requests that exceed `calls_per_second` are rejected as a whole.

    The limit is a token bucket: `burst` calls (default: those of one second) at once, and then `calls_per_second`. Each
    call of a batch counts, so a batch of more than `burst` calls never passes. A rejected request takes nothing from
    the bucket. Each node has its own bucket; with a `method`, only calls of it count. `nth`, `every` and `times` count
    the requests that exceed the limit.
    """

    calls_per_second: Annotated[float, Field(gt=0, le=1_000_000)]
    burst: Nth | None = None
    form: RejectionForm = "each"
    status: HttpStatus = 429
    code: int = -32005
    message: str = "rate limit exceeded"
    retry_after: str | None = None
    do: Literal["rate-limit"] = field(default="rate-limit", kw_only=True)

    def counted(self, methods: list[str], node: str) -> int:
        """Return how many calls of a request count."""
        if self.node not in {None, node}:
            return 0
        return len(methods) if self.method is None else methods.count(self.method)

    @property
    def capacity(self) -> float:
        """The number of calls that pass at once."""
        return max(1.0, self.calls_per_second) if self.burst is None else float(self.burst)


@dataclass(frozen=True)
class Reorg(RpcFault):
    """A reorganisation: from this call on, the node has other blocks from block `at` on."""

    at: Count
    branch: int = 1
    do: Literal["reorg"] = field(default="reorg", kw_only=True)


Wire = Status | Delay | Hang | Reset | Close | Truncate | Stop
Edit = Result | Items | Fields
Refusal = BatchLimit | Outage | RateLimit
Member = Pruned | Lagging
Action = Wire | Edit | Raw | Error | Envelope | OtherBlock | Reorg | Refusal | Member
AnyRpcFault = Annotated[Action, Field(discriminator="do")]
"""A fault of the node, as in a scenario."""
ACTIONS: tuple[str, ...] = tuple(kind.__dataclass_fields__["do"].default for kind in get_args(Action))


def _affects(fault: RpcFault, method: str, blocks: tuple[int, int] | None) -> bool:
    """Return whether a fault can change the response to a call."""
    match fault:
        case BatchLimit() | RateLimit():
            return False
        case Pruned(below):
            return method in _FROM_RECEIPTS and blocks is not None and blocks[0] < below
        case Lagging(head):
            return method == "eth_blockNumber" or (blocks is not None and blocks[1] > head)
    return True


def read(fields: Any) -> list[RpcFault]:
    """Return the faults of a JSON list, written as in a scenario: `[{"method": …, "do": "status", "code": 503}]`.

    Raises:
        pydantic.ValidationError: an action is unknown, or a field is missing, unknown or invalid.
    """
    return list(TypeAdapter(list[AnyRpcFault]).validate_python(fields))
