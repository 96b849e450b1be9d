"""What a scenario holds, field by field; which fields go together is for `rules` to say (docs/reference.md)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from harness.faults import AnyRpcFault, DispatcherFault, StoreFault, Trigger


class Strict(BaseModel):
    """A table of a scenario: immutable, with no fields but its own, and no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Outcome = Literal[
    "success",
    "success_or_retry",
    "retryable_error",
    "fatal_error",
    "bad_configuration",
    "stopped",
    "killed",
    "nothing",
]
PAYLOAD: dict[str, Any] = {
    "dataset_uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "dataset_key": "scenario",
    "chain_id": 31337,
    "cryo_dataset_name": "blocks",
    "rpc_pool": "local",
    "range_start": 500,
    "range_end": 1700,
    "config_hash": "h1",
}
"""What a task is unless a scenario says otherwise: two chunks."""


CONTAINER = "container"


def _below(path: str) -> str:
    """Return a path that leads down from where it is put, and nowhere else."""
    if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
        raise ValueError("must be a relative path without empty parts, '.' and '..'")
    return path


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("no process can be given a NUL character")
    return text


Below = Annotated[str, AfterValidator(_below)]
Word = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ .+-]*$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
BlockNumber = Annotated[int, Field(ge=0, le=2**63)]
Environment = dict[Variable, Word]


class TaskLine(Strict):
    """One task: what its payload has (`set`) and lacks (`drop`), or its whole `raw` text, and what should come of it.

    `add` are fields that no payload is known to have (PAY-3). `message_contains` are words that the worker's message
    must contain; `cryo` tells whether Cryo is expected to run, `runs` how often. `concurrent` starts it beside the one
    before. In a service `environment` is the worker's and stands with the first task.
    """

    set: dict[str, Any] = Field(default_factory=dict)
    drop: tuple[str, ...] = ()
    add: dict[str, Any] = Field(default_factory=dict)
    raw: str | None = None
    outcome: Outcome = "success"
    message_contains: tuple[str, ...] = ()
    cryo: bool | None = None
    runs: int | None = Field(default=None, ge=0)
    attempt: int = Field(default=1, ge=1)
    same_task: bool = False
    concurrent: bool = False
    environment: Environment = Field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        """Return the payload."""
        return {name: value for name, value in (PAYLOAD | self.set | self.add).items() if name not in self.drop}

    def text(self) -> str:
        """Return the payload as it is sent."""
        return self.raw if self.raw is not None else json.dumps(self.payload())

    def value(self) -> Any:
        """Return the payload as a history has it: JSON where it is any."""
        try:
            return json.loads(self.text())
        except ValueError:
            return self.text()


def _some(lines: tuple[TaskLine, ...]) -> tuple[TaskLine, ...]:
    # Pydantic's own min_length complains of a list that is too short wherever one of its items is wrong.
    if not lines:
        raise ValueError("there must be one at least")
    return lines


class PreloadedObject(Strict):
    """An object that is in the store already: `content` is its text, or a file of the oracle's, whole or not.

    `dataset` is the one that its `{chunk}` and content belong to, by default the first task's.
    """

    key: Below
    content: Literal["text", "whole", "fake", "broken", "fewer-rows", "other-rows", "manifest", "short-manifest"] = (
        "text"
    )
    text: str = ""
    chunk: int = Field(default=0, ge=0)
    dataset: str | None = None
    evidence: Literal["rows", "chain", "receipts"] = "chain"


class PreloadedFile(Strict):
    """A path below the staging root that is there already; `age_hours` is that of its own modification time."""

    path: Below
    type: Literal["directory", "file", "link"] = "directory"
    age_hours: float = Field(default=0.0, ge=0, le=100_000)
    owner: int | None = Field(default=None, ge=0, lt=2**31)
    unchanged: bool


class NodeSettings(Strict):
    """The pool's node: a fake one, or a real anvil whose rows are what a bare Cryo in a container reads from it."""

    kind: Literal["fake", "anvil"] = "fake"

    head: BlockNumber = 1_000_000
    chain_id: int = Field(default=31337, ge=1, lt=2**63)
    finalized: BlockNumber | None = None
    claims_chain_id: int | None = Field(default=None, ge=0, lt=2**63)
    quirks: dict[str, bool] = Field(default_factory=dict)


class Platform(Strict):
    """The dispatcher and the queue of a service.

    `stray` are messages that are no wake-up of a task; `until` is `ended` (every task, and no wake-up left),
    `settled` (every task has ended at the dispatcher), `quiet` (and nothing happens any more) or an event and how often
    it must have come; then the workers are told to end. `watch_cryo_after_end` waits up to 8 s for Cryo to end before
    that.
    """

    form: Literal["documented", "lite"] = "documented"
    lease_seconds: float = Field(default=30.0, gt=0, le=86_400)
    max_attempts: int = Field(default=3, ge=1, le=100)
    backoff_seconds: float = Field(default=0.2, ge=0, le=86_400)
    wakeups: int = Field(default=1, ge=0, le=100)
    workers: int = Field(default=1, ge=1, le=16)
    stray: tuple[str, ...] = ()
    until: str = Field(default="ended", pattern=r"^(ended|settled|quiet|[a-z_]+ [1-9][0-9]{0,4})$")
    watch_cryo_after_end: bool = False


class Scenario(Strict):
    """One scenario; `clauses` are those that it exercises. `name` is its file's.

    `evidence` is what can be proved in this world where that is less than `level` asks for (LAY-8).
    `cryo` is an executable's name, or `container` for real Cryo in its image. In `environment` these are filled in:
    `{pool_url}`, `{pool_address}` (without scheme), `{dead_url}`, `{other_chain_url}`, `{canary}` (a secret),
    `{staging}`, and of the range's files `{largest_bytes}` and `{total_bytes}`, with `under_` before them one less.
    """

    name: Name
    title: str = Field(min_length=1)
    clauses: tuple[str, ...] = Field(min_length=1)
    delivery: Literal["run", "worker"] = "run"
    mode: Literal["real", "fake"] = "real"
    cryo: Word = Field(default="fake-cryo", min_length=1)
    store: Literal["s3", "directory"] = "s3"
    level: Literal["rows", "chain", "receipts"] = "rows"
    evidence: Literal["rows", "chain", "receipts"] | None = None
    pool_url: bool = True
    patience_seconds: float = Field(default=40.0, gt=0, le=300)
    environment: Environment = Field(default_factory=dict)
    tasks: Annotated[tuple[TaskLine, ...], AfterValidator(_some)] = Field(
        default=(TaskLine(),), max_length=100, json_schema_extra={"minItems": 1}
    )
    node: NodeSettings = NodeSettings()
    platform: Platform = Platform()
    cryo_faults: tuple[dict[str, Any], ...] = ()
    store_faults: tuple[StoreFault, ...] = ()
    rpc_faults: tuple[AnyRpcFault, ...] = ()
    dispatcher_faults: tuple[DispatcherFault, ...] = ()
    preloaded_objects: tuple[PreloadedObject, ...] = ()
    preloaded_files: tuple[PreloadedFile, ...] = ()
    triggers: tuple[Trigger, ...] = ()

    @property
    def needs_engine(self) -> bool:
        """Whether it runs containers."""
        return self.cryo == CONTAINER or self.node.kind == "anvil"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario; harness/schemas/scenario.json is it, as a file."""
    return {"$id": "scenario-1", **Scenario.model_json_schema()}
