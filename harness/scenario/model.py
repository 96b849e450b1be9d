"""The fields of a scenario; `rules` checks which of them can be combined (docs/scenarios.md)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from harness.contract import Level
from harness.faults import AnyRpcFault, DispatcherFault, StoreFault, Trigger


class Strict(BaseModel):
    """A table of a scenario: immutable, without unknown fields and without NaN."""

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
"""The default payload of a task: two chunks."""


CONTAINER = "container"


def _below(path: str) -> str:
    """Check that a path stays below the folder that it is relative to."""
    if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
        raise ValueError("must be a relative path without empty parts, '.' and '..'")
    return path


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


Below = Annotated[str, AfterValidator(_below)]
Word = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ .+-]*$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
BlockNumber = Annotated[int, Field(ge=0, le=2**63)]
Environment = dict[Variable, Word]


class TaskLine(Strict):
    """One task: its payload and the expected outcome.

    `set` changes fields of the default payload, `drop` removes fields, `add` adds unknown fields (PAY-3); `raw` is the
    complete text instead. `message_contains` are words that the worker's message must contain; `cryo` tells whether
    Cryo is expected to run, `runs` how often. `concurrent` starts the task together with the previous one. In a service
    `environment` applies to the worker and is given with the first task.
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
        """Return the payload as text."""
        return self.raw if self.raw is not None else json.dumps(self.payload())

    def value(self) -> Any:
        """Return the payload for a history: its JSON value, or the text if it is not JSON."""
        try:
            return json.loads(self.text())
        except ValueError:
            return self.text()


def _not_empty(lines: tuple[TaskLine, ...]) -> tuple[TaskLine, ...]:
    # With min_length, pydantic also reports a list as too short if one of its items is invalid.
    if not lines:
        raise ValueError("must have at least one item")
    return lines


class PreloadedObject(Strict):
    """An object that is in the store before the run: `content` is `text`, or a complete or damaged file of the oracle.

    `dataset` is the dataset of its `{chunk}` and content, by default that of the first task.
    """

    key: Below
    content: Literal["text", "whole", "fake", "broken", "fewer-rows", "other-rows", "manifest", "short-manifest"] = (
        "text"
    )
    text: str = ""
    chunk: int = Field(default=0, ge=0)
    dataset: str | None = None
    evidence: Level = "chain"


class PreloadedFile(Strict):
    """A path below the staging root that exists before the run; `age_hours` sets its modification time."""

    path: Below
    type: Literal["directory", "file", "link"] = "directory"
    age_hours: float = Field(default=0.0, ge=0, le=100_000)
    owner: int | None = Field(default=None, ge=0, lt=2**31)
    unchanged: bool


class NodeSettings(Strict):
    """The node: the fake one, or a real anvil; for anvil, Cryo in a container extracts the expected rows.

    The node at `{second_url}` has the same chain, with `second_branches_at` other blocks from that block on.
    """

    kind: Literal["fake", "anvil"] = "fake"

    head: BlockNumber = 1_000_000
    chain_id: int = Field(default=31337, ge=1, lt=2**63)
    finalized: BlockNumber | None = None
    claims_chain_id: int | None = Field(default=None, ge=0, lt=2**63)
    second_branches_at: BlockNumber | None = None
    quirks: dict[str, bool] = Field(default_factory=dict)


class Platform(Strict):
    """The dispatcher and the queue of a service.

    `stray` are messages that are not wake-ups of a task. The workers get SIGTERM after `until`: `ended` (every task has
    ended and no wake-up is left), `tasks-ended` (every task has ended at the dispatcher), `quiet` (and no more events
    occur), or an event with the number of times that it must have occurred. `watch_cryo_after_end` first waits up to
    8 s for Cryo to end.
    """

    form: Literal["documented", "lite"] = "documented"
    lease_seconds: float = Field(default=30.0, gt=0, le=86_400)
    max_attempts: int = Field(default=3, ge=1, le=100)
    backoff_seconds: float = Field(default=0.2, ge=0, le=86_400)
    wakeups: int = Field(default=1, ge=0, le=100)
    workers: int = Field(default=1, ge=1, le=16)
    stray: tuple[str, ...] = ()
    until: str = Field(default="ended", pattern=r"^(ended|tasks-ended|quiet|[a-z_]+ [1-9][0-9]{0,4})$")
    watch_cryo_after_end: bool = False


class Scenario(Strict):
    """One scenario; `clauses` are those that it exercises, `name` is the name of its file.

    `evidence` is the level that can be proved, if it is less than `level` (LAY-8). `cryo` is the name of an executable,
    or `container` for real Cryo in its image. `environment` may contain these placeholders: `{pool_url}`,
    `{pool_address}` (without scheme), `{dead_url}`, `{other_chain_url}`, `{second_url}`, `{canary}` (a secret),
    `{staging}`; the sizes of the range's files `{largest_bytes}` and `{total_bytes}`, and one byte less with the prefix
    `under_`.
    """

    name: Name
    title: str = Field(min_length=1)
    clauses: tuple[str, ...] = Field(min_length=1)
    delivery: Literal["run", "worker"] = "run"
    mode: Literal["real", "fake"] = "real"
    cryo: Word = Field(default="fake-cryo", min_length=1)
    store: Literal["s3", "directory"] = "s3"
    level: Level = "rows"
    evidence: Level | None = None
    pool_url: bool = True
    patience_seconds: float = Field(default=40.0, gt=0, le=300)
    environment: Environment = Field(default_factory=dict)
    tasks: Annotated[tuple[TaskLine, ...], AfterValidator(_not_empty)] = Field(
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
        """Whether the scenario runs containers."""
        return self.cryo == CONTAINER or self.node.kind == "anvil"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario, which harness/schemas/scenario.json contains."""
    return {"$id": "scenario-1", **Scenario.model_json_schema()}
