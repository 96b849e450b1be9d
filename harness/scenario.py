"""Scenarios: TOML files that say what is in the world, what goes wrong, and what should come of it.

A mistake is named with its file and line. `docs/reference.md` has the format.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.faults import DispatcherFaultLine, RpcFault, StoreFault, Trigger
from harness.resources import clause_ids, fixtures

if TYPE_CHECKING:
    from collections.abc import Iterable

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


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskLine(_Strict):
    """One task: what its payload has (`set`) and lacks (`drop`), or its whole `raw` text, and what should come of it.

    `says` are words that the worker's message must hold; `cryo` tells whether Cryo is expected to run, `runs` how
    often. `concurrent`
    starts it beside the one before. In a service `environment` is the worker's and stands with the first task.
    """

    set: dict[str, Any] = Field(default_factory=dict)
    drop: tuple[str, ...] = ()
    raw: str | None = None
    outcome: Outcome = "success"
    says: tuple[str, ...] = ()
    cryo: bool | None = None
    runs: int | None = None
    attempt: int = 1
    same_task: bool = False
    concurrent: bool = False
    environment: dict[str, str] = Field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        """Return the payload."""
        return {name: value for name, value in (PAYLOAD | self.set).items() if name not in self.drop}


class Held(_Strict):
    """An object that is in the store already: `content` is its text, or a file of the oracle's, whole or not."""

    key: str
    content: Literal["text", "whole", "fake", "broken", "fewer-rows", "other-rows", "manifest", "short-manifest"] = (
        "text"
    )
    text: str = ""
    chunk: int = 0
    evidence: Literal["rows", "chain", "receipts"] = "chain"


class Planted(_Strict):
    """A path below the staging root that is there already; `age_hours` is that of its own modification time."""

    path: str
    type: Literal["directory", "file", "link"] = "directory"
    age_hours: float = 0.0
    owner: int | None = None
    stays: bool


class Node(_Strict):
    """The pool's node: a fake one, or a real anvil whose rows are what a bare Cryo in a container reads from it."""

    kind: Literal["fake", "anvil"] = "fake"

    head: int = 1_000_000
    chain_id: int = 31337
    finalized: int | None = None
    claims_chain_id: int | None = None
    quirks: dict[str, bool] = Field(default_factory=dict)


class Platform(_Strict):
    """The dispatcher and the queue of a service.

    `stray` are messages that are no wake-up of a task; `until` is `ended` (every task, and no wake-up left),
    `settled` (every task has ended at the dispatcher), `quiet` (and nothing happens any more) or an event and how often
    it must have come; then the workers are told to end.
    """

    form: Literal["documented", "lite"] = "documented"
    lease_seconds: float = 30.0
    max_attempts: int = 3
    backoff_seconds: float = 0.2
    wakeups: int = 1
    workers: int = Field(default=1, ge=1, le=16)
    stray: tuple[str, ...] = ()
    until: str = Field(default="ended", pattern=r"^(ended|settled|quiet|[a-z_]+ \d+)$")


class Scenario(_Strict):
    """One scenario; `clauses` are those that it exercises. `name` is its file's.

    `cryo` is an executable's name, or `container` for real Cryo in its image. In `environment` these are filled in:
    `{pool_url}`, `{pool_address}` (without scheme), `{dead_url}`, `{other_chain_url}`, `{canary}` (a secret),
    `{staging}`, and of the range's files `{largest_bytes}` and `{total_bytes}`, with `under_` before them one less.
    """

    name: str
    title: str = Field(min_length=1)
    clauses: tuple[str, ...] = Field(min_length=1)
    delivery: Literal["run", "worker"] = "run"
    mode: Literal["real", "fake"] = "real"
    cryo: str = "fake-cryo"
    store: Literal["s3", "directory"] = "s3"
    level: Literal["rows", "chain", "receipts"] = "rows"
    pool_url: bool = True
    patience_seconds: float = Field(default=40.0, gt=0, le=300)
    environment: dict[str, str] = Field(default_factory=dict)
    tasks: tuple[TaskLine, ...] = (TaskLine(),)
    node: Node = Node()
    platform: Platform = Platform()
    acts: tuple[dict[str, Any], ...] = ()
    store_faults: tuple[StoreFault, ...] = ()
    rpc_faults: tuple[RpcFault, ...] = ()
    dispatcher_faults: tuple[DispatcherFaultLine, ...] = ()
    held: tuple[Held, ...] = ()
    planted: tuple[Planted, ...] = ()
    at: tuple[Trigger, ...] = ()

    @property
    def needs_engine(self) -> bool:
        """Whether it runs containers."""
        return self.cryo == CONTAINER or self.node.kind == "anvil"


class BadScenario(ValueError):
    """A scenario can't be used: its file and line, and what is wrong there."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario; harness/schemas/scenario.json is it, as a file."""
    return {"$id": "scenario-1", **Scenario.model_json_schema()}


def folder() -> Path:
    """Return where the scenarios are that come with the harness."""
    return fixtures() / "scenarios"


def read(path: Path) -> Scenario:
    """Read one scenario.

    Raises:
        BadScenario: it is no TOML, or does not hold what a scenario holds.
    """
    try:
        text = path.read_text(encoding="utf-8")
        fields = tomllib.loads(text)
    except OSError as error:
        raise BadScenario(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadScenario(f"{path.name}: {error}") from None
    try:
        scenario = Scenario.model_validate({"name": path.stem} | fields)
    except ValidationError as error:
        problems = [located(path, text, problem["loc"], problem["msg"]) for problem in error.errors()]
        raise BadScenario("; ".join(problems)) from None
    unknown = [clause for clause in scenario.clauses if clause not in clause_ids()]
    if unknown:
        raise BadScenario(located(path, text, ("clauses",), f"the contract has no clause {', '.join(unknown)}"))
    return scenario


def find(names: Iterable[str] = ()) -> list[Scenario]:
    """Return the scenarios of some names, files or clauses; all of them for none.

    Raises:
        BadScenario: one can't be used, or there is none of that name.
    """
    wanted = list(names)
    if not wanted:
        return [read(path) for path in sorted(folder().glob("*.toml"))]
    found: list[Scenario] = []
    for name in wanted:
        if name.endswith(".toml"):
            found.append(read(Path(name)))
        elif (path := folder() / f"{name}.toml").is_file():
            found.append(read(path))
        else:
            having = [one for one in find() if name in one.clauses]
            if not having:
                raise BadScenario(f"there is no scenario or clause {name!r}: `cryo-harness list` shows them")
            found += [one for one in having if one not in found]
    return found


def located(path: Path, text: str, loc: tuple[int | str, ...], message: str) -> str:
    """Say what is wrong with a TOML file, with the line: that of the key, in the `nth` table of an array of tables."""
    names = [str(part) for part in loc if isinstance(part, str)]
    lines = text.splitlines()
    start = 0
    if len(loc) > 1 and isinstance(loc[0], str):
        place = loc[1] if isinstance(loc[1], int) else 0
        headers = [at for at, line in enumerate(lines) if re.match(rf"\s*\[\[?{loc[0]}[\].]", line)]
        start = headers[place] if place < len(headers) else 0
    last = names[-1] if names else ""
    line = next((at for at in range(start, len(lines)) if re.match(rf"\s*\[*{re.escape(last)}\b", lines[at])), start)
    where = ".".join(str(part) for part in loc)
    return f"{path.name}, line {line + 1}: {where}: {message}"
