"""The events of a history, by type. A field that two runs of one scenario need not share is declared volatile."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

VERSION = 1
VOLATILE = "volatile"

_volatile = Field(json_schema_extra={VOLATILE: True})
VolatileInt = Annotated[int, _volatile]
VolatileFloat = Annotated[float, _volatile]
VolatileText = Annotated[str, _volatile]


def _facts(told: dict[str, Any]) -> dict[str, Any]:
    """Hold what is said of a Parquet file to what harness.world.content says of one that can be read."""
    numbers = (told.get("first"), told.get("last"))
    columns = told.get("columns")
    whole = (
        set(told) == {"rows", "columns", "first", "last", "digest", "fake"}
        and type(told["rows"]) is int
        and isinstance(columns, list)
        and all(isinstance(column, str) for column in columns)
        and (numbers == (None, None) or all(type(number) is int for number in numbers))
        and isinstance(told["digest"], str)
        and isinstance(told["fake"], bool)
    )
    if not whole:
        raise ValueError("these are not the facts of a Parquet file")
    return told


def _facts_or_why_not(told: dict[str, Any]) -> dict[str, Any]:
    return told if set(told) == {"unreadable"} and isinstance(told["unreadable"], str) else _facts(told)


class _Event(BaseModel):
    """What all events have: their place, and seconds since the run began."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: VolatileInt
    at: VolatileFloat


class Begun(_Event):
    """The first event: the whole scenario, and the world that it was run in.

    `oracle` is what each file must hold, where that is not the deterministic chain's to say; `preloaded` are the
    objects that were stored before, by key, as SHA-256.
    """

    kind: Literal["begun"] = "begun"
    version: int = VERSION
    scenario: dict[str, Any]
    target: str
    store: str
    limitations: tuple[str, ...] = ()
    bucket: VolatileText
    staging_root: VolatileText
    preloaded: dict[str, str] = Field(default_factory=dict)
    oracle: Annotated[dict[str, Annotated[dict[str, Any], AfterValidator(_facts)]] | None, _volatile] = None


class TaskEntered(_Event):
    """A task came into the world: its place in the scenario, and its payload as it was sent."""

    kind: Literal["task"] = "task"
    task: int
    task_id: str
    payload: Any


class WorkerStarted(_Event):
    """A worker process began, for one task where it was started to run one."""

    kind: Literal["worker_started"] = "worker_started"
    worker: int
    task: int | None
    pid: VolatileInt


class Exit(_Event):
    """A worker process ended; `code` is negative for a signal, `stdout` all that it said there."""

    kind: Literal["exit"] = "exit"
    worker: int
    code: int
    stdout: VolatileText = ""


class LogLine(_Event):
    """A line of a worker's standard error."""

    kind: Literal["log_line"] = "log_line"
    worker: VolatileInt
    text: VolatileText


class StagedEntry(BaseModel):
    """One path below the staging root; `mode` is that of `ls -l`, as octal text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: VolatileText
    type: Literal["directory", "file", "link", "other"]
    mode: str


class CryoStarted(_Event):
    """A Cryo began: its arguments, the names in its environment, its directory, and the staging root just then.

    `locked` are the paths below the staging root that it has open and locked, its own or inherited.
    """

    kind: Literal["cryo_started"] = "cryo_started"
    arguments: Annotated[tuple[str, ...], _volatile]
    environment: Annotated[tuple[str, ...], _volatile]
    directory: VolatileText
    pid: VolatileInt
    staged: Annotated[tuple[StagedEntry, ...], _volatile]
    locked: Annotated[tuple[str, ...], _volatile] = ()


class CryoEnded(_Event):
    """A Cryo is gone; `started` is the number of its `cryo_started`."""

    kind: Literal["cryo_ended"] = "cryo_ended"
    started: VolatileInt


class CryoWrote(_Event):
    """A fake Cryo finished a file: its name and the SHA-256 of its bytes."""

    kind: Literal["cryo_wrote"] = "cryo_wrote"
    name: str
    digest: str


class RpcCall(_Event):
    """A call to the pool, save the harness's own."""

    kind: Literal["rpc_call"] = "rpc_call"
    node: str
    method: str
    blocks: tuple[int, int] | None
    fault: bool


class DispatcherCall(_Event):
    """A claim, heartbeat or completion with its answer; `status` is None where none was given."""

    kind: Literal["claim", "heartbeat", "complete", "unknown_request"]
    task_id: str | None
    attempt: int | None
    request: Annotated[dict[str, Any], _volatile]
    status: int | None
    answer: Annotated[dict[str, Any], _volatile]
    fault: str | None


class Received(_Event):
    """A wake-up was handed to a worker."""

    kind: Literal["received"] = "received"
    task_id: str | None


class Acknowledged(_Event):
    """A wake-up was deleted from the queue."""

    kind: Literal["acknowledged"] = "acknowledged"
    task_id: str | None


class StoreAsked(_Event):
    """A request to the store arrived, before it had any effect; each worker has an address of the store of its own."""

    kind: Literal["store_asked"] = "store_asked"
    operation: str
    key: str
    worker: Annotated[int | None, _volatile] = None


class StoreAnswered(_Event):
    """A request to the store is over.

    `began` is the number of its `store_asked`; `status` is the store's own, `answered` what the worker was told (None:
    nothing). `digest` is the SHA-256 of the bytes sent, `size_bytes` their number, `secrets` what those hold.
    """

    kind: Literal["object_put", "object_deleted", "object_listed", "object_read", "store_other"]
    began: VolatileInt
    operation: str
    key: str
    create_only: bool = False
    if_match: Annotated[str | None, _volatile] = None
    checksum: Annotated[str | None, _volatile] = None
    metadata: dict[str, str] = Field(default_factory=dict)
    digest: str | None = None
    size_bytes: int = 0
    secrets: tuple[str, ...] = ()
    status: int | None
    answered: int | None
    fault: str | None = None


class FaultFired(_Event):
    """One of the scenario's faults was applied."""

    kind: Literal["fault_fired"] = "fault_fired"
    fault: str


class Acted(_Event):
    """The runner did what the scenario says for this point: a signal, a lease taken, a clock moved."""

    kind: Literal["acted"] = "acted"
    action: str
    worker: int = 0


class TimedOut(_Event):
    """What the scenario waits for did not come."""

    kind: Literal["timed_out"] = "timed_out"
    what: str


class FinalObject(BaseModel):
    """One object at the end; `text` is the content of a manifest, `parquet` what a Parquet file holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    size_bytes: int
    metadata: dict[str, str] = Field(default_factory=dict)
    text: str | None = None
    parquet: Annotated[dict[str, Any], AfterValidator(_facts_or_why_not)] | None = None
    secrets: tuple[str, ...] = ()


class Final(_Event):
    """The last event: what is left in store, staging, dispatcher and process table."""

    kind: Literal["final"] = "final"
    objects: dict[str, FinalObject]
    staged: tuple[StagedEntry, ...]
    preloaded_files: dict[str, bool] = Field(default_factory=dict)
    survivors: Annotated[tuple[str, ...], _volatile] = ()
    arguments: Annotated[tuple[str, ...], _volatile] = ()
    registered: dict[str, int] = Field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()
    unfired_faults: tuple[str, ...] = ()


Event = Annotated[
    Begun | TaskEntered | WorkerStarted | Exit | LogLine | CryoStarted | CryoEnded | CryoWrote | RpcCall
    | DispatcherCall | Received | Acknowledged | StoreAsked | StoreAnswered | FaultFired | Acted | TimedOut | Final,
    Field(discriminator="kind"),
]  # fmt: skip
ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)

BEHIND_LINKS = "(behind links)"
"""Among what was planted: what the links lead to."""
KINDS = frozenset(
    kind for event in get_args(get_args(Event)[0]) for kind in get_args(event.model_fields["kind"].annotation)
)
"""Of every event there is."""
UNORDERED = frozenset({"log_line", "heartbeat", "rpc_call"})
"""How many of these there are is a matter of speed, so that two runs need not agree on it."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one line."""
    return {"$id": f"history-{VERSION}", **ADAPTER.json_schema()}


def stable(events: Iterable[Event]) -> list[str]:
    """Return what two runs of one scenario share: no volatile field, concurrent events in one order."""
    return sorted(json.dumps(dict(_kept(event)), sort_keys=True) for event in events if event.kind not in UNORDERED)


def _kept(event: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, field in type(event).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get(VOLATILE):
            continue
        value = getattr(event, name)
        if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            yield name, [dict(_kept(item)) for item in value]
        elif isinstance(value, dict):
            yield name, {key: _plain(item) for key, item in value.items()}
        else:
            yield name, _plain(value)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
