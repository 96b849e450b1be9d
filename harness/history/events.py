"""The classes of events. A field that may differ between two runs of one scenario is declared volatile."""

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

DispatcherKind = Literal["claim", "heartbeat", "complete", "unknown_request"]
StoreKind = Literal["object_put", "object_deleted", "object_listed", "object_read", "store_other"]


def _parquet_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Check that facts about a Parquet file have the form that `harness.world.content.facts_of` returns."""
    numbers = (facts.get("first"), facts.get("last"))
    columns = facts.get("columns")
    valid = (
        set(facts) == {"rows", "columns", "first", "last", "digest", "fake"}
        and type(facts["rows"]) is int
        and isinstance(columns, list)
        and all(isinstance(column, str) for column in columns)
        and (numbers == (None, None) or all(type(number) is int for number in numbers))
        and isinstance(facts["digest"], str)
        and isinstance(facts["fake"], bool)
    )
    if not valid:
        raise ValueError("these are not the facts of a Parquet file")
    return facts


def _parquet_facts_or_error(facts: dict[str, Any]) -> dict[str, Any]:
    is_error = set(facts) == {"unreadable"} and isinstance(facts["unreadable"], str)
    return facts if is_error else _parquet_facts(facts)


class _Event(BaseModel):
    """What all events have: `number`, counted from 1, and `at`, in seconds since the start of the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: VolatileInt
    at: VolatileFloat


class ScenarioStarted(_Event):
    """The first event: the whole scenario, the target, and the world in which it ran.

    `limitations` are the checks that the store does not make. `preloaded` has the SHA-256 of each object that was
    stored before the run, by key. `oracle` has the expected facts of each file; None means that they are computed from
    the deterministic chain.
    """

    kind: Literal["scenario_started"] = "scenario_started"
    version: int = VERSION
    scenario: dict[str, Any]
    target: str
    store: str
    limitations: tuple[str, ...] = ()
    bucket: VolatileText
    staging_root: VolatileText
    preloaded: dict[str, str] = Field(default_factory=dict)
    oracle: Annotated[dict[str, Annotated[dict[str, Any], AfterValidator(_parquet_facts)]] | None, _volatile] = None


class TaskCreated(_Event):
    """A task was created. `task` is its index in the scenario, `payload` the value that the worker gets."""

    kind: Literal["task_created"] = "task_created"
    task: int
    task_id: str
    payload: Any


class WorkerStarted(_Event):
    """A worker process started; `task` is None for a service."""

    kind: Literal["worker_started"] = "worker_started"
    worker: int
    task: int | None
    pid: VolatileInt


class WorkerExited(_Event):
    """A worker process ended. `code` is negative for a signal; `stdout` is its whole standard output."""

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
    """One path below the staging root; `mode` has the permission bits, as octal text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: VolatileText
    type: Literal["directory", "file", "link", "other"]
    mode: str


class CryoStarted(_Event):
    """A Cryo process started.

    `worker` is the worker that started it, where the harness knows it. `environment` has the names of its variables,
    `directory` is its working directory, `staged` is the content of the
    staging root at that moment. `locked` are the paths below the staging root that the process holds open and locked,
    including inherited ones. `pool_url_in` says where an address or the key of the RPC pool was found: `arguments`,
    `environment` or `files` (those below its working directory); None means that the harness could not look.
    """

    kind: Literal["cryo_started"] = "cryo_started"
    arguments: Annotated[tuple[str, ...], _volatile]
    environment: Annotated[tuple[str, ...], _volatile]
    directory: VolatileText
    pid: VolatileInt
    staged: Annotated[tuple[StagedEntry, ...], _volatile]
    locked: Annotated[tuple[str, ...], _volatile] = ()
    pool_url_in: tuple[Literal["arguments", "environment", "files"], ...] | None = None
    worker: Annotated[int | None, _volatile] = None


class CryoEnded(_Event):
    """A Cryo process ended; `start_number` is the number of its `cryo_started` event."""

    kind: Literal["cryo_ended"] = "cryo_ended"
    start_number: VolatileInt


class CryoWrote(_Event):
    """Fake Cryo finished a file; `digest` is the SHA-256 of its bytes."""

    kind: Literal["cryo_wrote"] = "cryo_wrote"
    name: str
    digest: str


class RpcCall(_Event):
    """A worker or Cryo called a node of the pool; calls of the harness are not recorded.

    `params` is JSON; if it is long, its hash. `request` is the number of the HTTP request: the calls of a batch have
    the same one. `connection` is the number of the connection. `action` is the fault that changes the answer, and
    `retry_after_seconds` the value of `Retry-After` in an answer with HTTP status 429.
    """

    kind: Literal["rpc_call"] = "rpc_call"
    node: str
    method: str
    blocks: tuple[int, int] | None
    fault: bool
    params: VolatileText = ""
    request: VolatileInt = 0
    connection: VolatileInt = 0
    action: str | None = None
    retry_after_seconds: float | None = None


class DispatcherCall(_Event):
    """A claim, heartbeat or completion with its response; `status` is None if no response was sent.

    `worker` is the worker that sent it, where the harness knows it: they all have one address of the dispatcher.
    """

    kind: DispatcherKind
    task_id: str | None
    attempt: int | None
    request: Annotated[dict[str, Any], _volatile]
    status: int | None
    response: Annotated[dict[str, Any], _volatile]
    fault: str | None
    worker: Annotated[int | None, _volatile] = None


class MessageReceived(_Event):
    """A worker received a wake-up message; `task_id` is None if the message has no task id."""

    kind: Literal["message_received"] = "message_received"
    task_id: str | None


class MessageAcknowledged(_Event):
    """A worker deleted a wake-up message from the queue; `worker` is None if the harness does not know which one."""

    kind: Literal["message_acknowledged"] = "message_acknowledged"
    task_id: str | None
    worker: Annotated[int | None, _volatile] = None


class StoreRequest(_Event):
    """A request to the store arrived and has had no effect yet.

    `worker` is known because each worker gets a different address of the store.
    """

    kind: Literal["store_request"] = "store_request"
    operation: str
    key: str
    worker: Annotated[int | None, _volatile] = None


class StoreResponse(_Event):
    """A request to the store ended.

    `request_number` is the number of its `store_request` event. `status` is the status that the store returned, or None
    if the request did not reach it; `delivered_status` is the status that the worker received, or None if it received
    none. `digest` is the SHA-256 of the bytes sent, `size_bytes` their number, `secrets` the names of the secrets in
    them.
    """

    kind: StoreKind
    request_number: VolatileInt
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
    delivered_status: int | None
    fault: str | None = None


class FaultFired(_Event):
    """A fault of the scenario fired."""

    kind: Literal["fault_fired"] = "fault_fired"
    fault: str


class HarnessAction(_Event):
    """The harness acted on the worker or on the world; it sent a signal or took the lease away, for example."""

    kind: Literal["harness_action"] = "harness_action"
    action: str
    worker: int = 0


class TimedOut(_Event):
    """The runner stopped waiting after its time limit; `what` describes what did not happen."""

    kind: Literal["timed_out"] = "timed_out"
    what: str


class FinalObject(BaseModel):
    """One stored object; `text` is the content of a manifest, `parquet` the facts of a Parquet file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    size_bytes: int
    metadata: dict[str, str] = Field(default_factory=dict)
    text: str | None = None
    parquet: Annotated[dict[str, Any], AfterValidator(_parquet_facts_or_error)] | None = None
    secrets: tuple[str, ...] = ()


class FinalState(_Event):
    """The last event: the final state of the store, the staging root, the dispatcher and the processes.

    `preloaded_files` has for each preloaded path whether it is unchanged; if the scenario expects its removal, whether
    it still exists. `survivors` are the command lines of the processes that are still running, `arguments` those of all
    processes. `registered` counts the registrations of each dataset version. `rejected_requests` are pairs of a clause
    and a detail.
    """

    kind: Literal["final_state"] = "final_state"
    objects: dict[str, FinalObject]
    staged: tuple[StagedEntry, ...]
    preloaded_files: dict[str, bool] = Field(default_factory=dict)
    survivors: Annotated[tuple[str, ...], _volatile] = ()
    arguments: Annotated[tuple[str, ...], _volatile] = ()
    registered: dict[str, int] = Field(default_factory=dict)
    rejected_requests: tuple[tuple[str, str], ...] = ()
    unfired_faults: tuple[str, ...] = ()


Event = Annotated[
    ScenarioStarted | TaskCreated | WorkerStarted | WorkerExited | LogLine | CryoStarted | CryoEnded | CryoWrote
    | RpcCall | DispatcherCall | MessageReceived | MessageAcknowledged | StoreRequest | StoreResponse | FaultFired
    | HarnessAction | TimedOut | FinalState,
    Field(discriminator="kind"),
]  # fmt: skip
EVENT_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)

BEHIND_LINKS = "(behind links)"
"""The key in `preloaded_files` for the directory that preloaded links point to."""
KINDS = frozenset(
    kind for event in get_args(get_args(Event)[0]) for kind in get_args(event.model_fields["kind"].annotation)
)
"""The kinds of all event classes."""
UNORDERED = frozenset({"log_line", "heartbeat", "rpc_call"})
"""Kinds whose number of events can differ between two runs of one scenario, because it depends on speed."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one line."""
    return {"$id": f"history-{VERSION}", **EVENT_ADAPTER.json_schema()}


def stable(events: Iterable[Event]) -> list[str]:
    """Return what is equal in every run of one scenario: events without volatile fields, sorted, as JSON."""
    return sorted(
        json.dumps(dict(_stable_fields(event)), sort_keys=True) for event in events if event.kind not in UNORDERED
    )


def _stable_fields(event: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, field in type(event).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get(VOLATILE):
            continue
        value = getattr(event, name)
        if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            yield name, [dict(_stable_fields(item)) for item in value]
        elif isinstance(value, dict):
            yield name, {key: _to_json(item) for key, item in value.items()}
        else:
            yield name, _to_json(value)


def _to_json(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
