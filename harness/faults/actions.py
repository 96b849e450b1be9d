"""What a fault can do to an answer of the pool: on the wire, in the JSON-RPC envelope, or in the result. Values only.

`ON_THE_WIRE` actions are carried out by harness.fakes.rpc.wire, an `Edit` by harness.fakes.rpc.edits, a `Refusal` by
harness.fakes.rpc.refusals; a `Member` is another node that answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

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


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP status with a body; `with_result` sends the true answer under that status."""

    code: HttpStatus
    body: str = "<html>no</html>"
    retry_after: str | None = None
    with_result: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """The true answer, `seconds` late."""

    seconds: Seconds


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer, ever; the connection stays open."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (TCP RST)."""


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is closed without an answer."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """Half the body that the headers promise, then the end of the connection."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The whole pool goes away: no answer, all connections reset, nobody listens any more."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Status 200 with this body, whatever it is."""

    body: str


@dataclass(frozen=True, slots=True)
class Error:
    """A JSON-RPC error; `null_id` answers with `id: null`, as some providers do when they limit the rate."""

    code: int
    message: str
    data: Any = None
    null_id: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """The true result in a broken envelope: fields replaced or added (`{"id": null}`, `{"extra": 1}`)."""

    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """Another result: null, `{}`, `[]`, another chain id, a stale head."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class OtherBlock:
    """The answer for the block `offset` further on."""

    offset: int = 1


@dataclass(frozen=True, slots=True)
class Items:
    """A list result made short (`first`), reversed, without every nth item, or without one transaction's items.

    `without_transaction` is that transaction's place in the block, for items that name theirs.
    """

    first: Count | None = None
    reverse: bool = False
    without_every: Nth | None = None
    without_transaction: Count | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of the result (of each item of a list) set or dropped; `within` names a list inside an object."""

    values: dict[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """The answer of a node that has pruned logs and receipts below block `below`; its headers are complete.

    `eth_getLogs` finds nothing there, by range and by hash. `eth_getTransactionReceipt` is null; `receipts` says what
    `eth_getBlockReceipts` is: null, an empty list, or error 4444. Only calls that this changes count for the fault, so
    that with `every` = 2 one of two members of a balanced pool is pruned.
    """

    below: Count
    receipts: Literal["null", "empty", "error"] = "null"


@dataclass(frozen=True, slots=True)
class Lagging:
    """The answer of a member of a balanced pool whose newest block is `head`.

    Later blocks and receipts are null there, later logs are not found; by a hash that it does not know `eth_getLogs`
    finds nothing either (`unknown_hash` = empty), or fails (error). Only calls that this changes count for the fault.
    """

    head: Count
    unknown_hash: Literal["empty", "error"] = "empty"


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """A batch of more than `calls` calls is refused as a whole; 0 refuses every batch.

    Batches count for the fault, not calls; with a `method`, those that hold such a call.
    """

    calls: Count
    form: Form = "object"
    status: HttpStatus = 200
    code: int = -32600
    message: str = "batch too large"
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Outage:
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


@dataclass(frozen=True, slots=True)
class Reorg:
    """From this call on, the endpoint's chain is another one from block `at` on."""

    at: Count
    branch: int = 1


Wire = Status | Delay | Hang | Reset | Close | Truncate | Stop
Edit = Result | Items | Fields
ON_THE_WIRE = (Status, Delay, Hang, Reset, Close, Truncate, Stop)
Refusal = BatchLimit | Outage
Member = Pruned | Lagging
Action = Wire | Edit | Raw | Error | Envelope | OtherBlock | Reorg | Refusal | Member

_BY_NAME: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(Status, Delay, Hang, Reset, Close, Truncate, Stop, Raw),
        *(Result, Items, Fields, Error, Envelope, OtherBlock, Reorg),
        *(Pruned, Lagging, BatchLimit, Outage),
    )
}


def from_json(told: dict[str, Any]) -> Action:
    """Return the action of a script's object: its `kind` is the class's name in lower case.

    Raises:
        ValueError: there is no such kind, it has no such field, or a field can't have that value.
    """
    values = dict(told)
    name = values.pop("kind", None)
    kind = _BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None:
        near = get_close_matches(str(name), _BY_NAME, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(f"no such action: {name!r}{meant}; there are {', '.join(sorted(_BY_NAME))}")
    known = [one.name for one in fields(kind)]
    if unknown := [one for one in values if one not in known]:
        raise ValueError(f"the action {name} has no field {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    try:
        json.dumps(values, allow_nan=False)
        action: Action = TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, problem['loc']))} of the action {name}: {problem['msg']}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the action {name} holds what JSON can't: {error}") from None
    return action
