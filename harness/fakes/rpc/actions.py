"""What a fault can do to an answer: on the wire, in the JSON-RPC envelope, or in the result. Values and pure functions.

`ON_THE_WIRE` actions are carried out by `wire.py`; an `Edit` turns the true result into a false one here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP status with a body; `with_result` sends the true answer under that status."""

    code: int
    body: str = "<html>no</html>"
    retry_after: str | None = None
    with_result: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """The true answer, `seconds` late."""

    seconds: float


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
    """A list result made short (`first`), reversed, or without every nth item (`without_every`)."""

    first: int | None = None
    reverse: bool = False
    without_every: int | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of the result (of each item of a list) set or dropped; `within` names a list inside an object."""

    values: dict[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Reorg:
    """From this call on, the endpoint's chain is another one from block `at` on."""

    at: int
    branch: int = 1


Wire = Status | Delay | Hang | Reset | Close | Truncate | Stop
Edit = Result | Items | Fields
ON_THE_WIRE = (Status, Delay, Hang, Reset, Close, Truncate, Stop)
Action = Wire | Edit | Raw | Error | Envelope | OtherBlock | Reorg

_BY_NAME: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(Status, Delay, Hang, Reset, Close, Truncate, Stop, Raw),
        *(Result, Items, Fields, Error, Envelope, OtherBlock, Reorg),
    )
}


def from_json(fields: dict[str, Any]) -> Action:
    """Return the action of a script's object: its `kind` is the class's name in lower case.

    Raises:
        ValueError: there is no such kind.
    """
    values = dict(fields)
    kind = _BY_NAME.get(values.pop("kind", ""))
    if kind is None:
        message = f"no such action: {fields!r}; there are {', '.join(sorted(_BY_NAME))}"
        raise ValueError(message)
    if kind is Fields and "drop" in values:
        values["drop"] = tuple(values["drop"])
    action: Action = kind(**values)
    return action


def edited(result: str, action: Edit) -> str:
    """Return what an edit makes of a rendered result."""
    if isinstance(action, Result):
        return json.dumps(action.value)
    value = json.loads(result)
    if isinstance(action, Items):
        return json.dumps(_items(value, action))
    target = value[action.within] if action.within is not None else value
    for item in target if isinstance(target, list) else [target]:
        item.update(action.values)
        for name in action.drop:
            item.pop(name, None)
    return json.dumps(value)


def _items(value: list[Any], action: Items) -> list[Any]:
    if action.first is not None:
        value = value[: action.first]
    if action.without_every is not None:
        value = [item for index, item in enumerate(value, start=1) if index % action.without_every]
    return value[::-1] if action.reverse else value
