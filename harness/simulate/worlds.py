"""The worlds of a simulation: scenarios with a platform whose times fit the doubles, and preloaded objects.

A world is a scenario, so that the checks of scenarios judge it. What a simulation does not model is refused.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from harness.contract import MANIFEST_NAME, chunks, file_name, manifest, prefix
from harness.scenario import Platform, PreloadedObject, Scenario, TaskLine
from harness.simulate.process import facts
from harness.simulate.stored import complete_version
from harness.stores.memory import Content

if TYPE_CHECKING:
    from collections.abc import Mapping

PLATFORM = Platform(lease_seconds=60.0, max_attempts=12, backoff_seconds=1.0)
"""Faults last two minutes at most; twelve attempts outlast any two of them."""

CLAUSES = (
    "OUT-1",
    "LSE-1",
    "LSE-3",
    "PUB-1",
    "PUB-4",
    "PUB-6",
    "STG-3",
    "STG-5",
    "SEC-1",
    "SEC-2",
    "LAY-5",
    "LAY-6",
    "RNG-2",
    "RNG-4",
)
"""Clauses that a world exercises if the plan allows it; the others are judged where they apply."""

ONE_TASK = Scenario(
    name="one-task", title="One task, one worker", clauses=CLAUSES, delivery="worker", platform=PLATFORM
)
"""The world whose faults are paired."""

TWO_WORKERS = ONE_TASK.model_copy(
    update={
        "name": "two-workers",
        "title": "One task, two workers, two wake-ups",
        "platform": PLATFORM.model_copy(update={"workers": 2, "wakeups": 2}),
    }
)
"""The world of interleavings."""

LEFTOVERS = ONE_TASK.model_copy(
    update={
        "name": "leftovers",
        "title": "The version has a short manifest, a file with a row too few, a broken one and a foreign one",
        "preloaded_objects": (
            PreloadedObject(key="{prefix}{chunk}", content="fewer-rows", chunk=0),
            PreloadedObject(key="{prefix}{chunk}", content="broken", chunk=1),
            PreloadedObject(key="{prefix}" + MANIFEST_NAME, content="short-manifest"),
            PreloadedObject(key="{prefix}part-0.parquet", content="text", text="no file of the version"),
        ),
    }
)
"""The world in which objects are replaced."""

THREE_TASKS = ONE_TASK.model_copy(
    update={
        "name": "three-tasks",
        "title": "Three tasks, two workers",
        "platform": PLATFORM.model_copy(update={"workers": 2}),
        "tasks": (
            TaskLine(),
            TaskLine(set={"range_start": 1700, "range_end": 2700}),
            TaskLine(set={"range_start": 2700, "range_end": 5000}),
        ),
    }
)
"""The world of random plans."""

LONG_TASK = ONE_TASK.model_copy(
    update={
        "name": "long-task",
        "title": "One task of five files, which takes longer than a lease",
        "tasks": (TaskLine(set={"range_end": 5500}),),
    }
)
"""The world in which an attempt lives only by its heartbeats."""

WORLDS = {world.name: world for world in (ONE_TASK, TWO_WORKERS, LEFTOVERS, LONG_TASK, THREE_TASKS)}

SINGLE_WORLDS = (ONE_TASK, LEFTOVERS, LONG_TASK, TWO_WORKERS)
"""The worlds of single faults."""


def unsupported(scenario: Scenario) -> list[str]:
    """Return what a scenario needs and no simulation models; empty if it can be simulated."""
    expected: dict[str, object] = {"delivery": "worker", "mode": "real", "store": "s3", "level": "rows"}
    problems = [
        f"{name} = {getattr(scenario, name)!r}" for name, value in expected.items() if getattr(scenario, name) != value
    ]
    tables = ("cryo_faults", "store_faults", "rpc_faults", "dispatcher_faults", "triggers", "preloaded_files")
    problems += [name for name in tables if getattr(scenario, name)]
    problems += ["environment"] if scenario.environment or any(line.environment for line in scenario.tasks) else []
    problems += [f"a task that ends as {line.outcome}" for line in scenario.tasks if line.outcome != "success"]
    own = {"workers", "wakeups", "lease_seconds", "max_attempts", "backoff_seconds"}
    platform = scenario.platform.model_dump(exclude=own)
    usual = Platform().model_dump(exclude=own)
    problems += [f"platform.{name} = {value!r}" for name, value in platform.items() if value != usual[name]]
    return problems


def as_world(scenario: Scenario) -> Scenario:
    """Return a scenario with the times and clauses of a world: faults last longer than its own leases and attempts."""
    times = PLATFORM.model_dump(include={"lease_seconds", "max_attempts", "backoff_seconds"})
    return scenario.model_copy(
        update={"platform": scenario.platform.model_copy(update=times), "clauses": CLAUSES, "environment": {}}
    )


def preloaded(scenario: Scenario) -> dict[str, Content]:
    """Return the preloaded objects of a scenario, by key, as the simulated Cryo would have written them."""
    found = {}
    for item in scenario.preloaded_objects:
        payload = scenario.tasks[0].payload()
        payload |= {"cryo_dataset_name": item.dataset} if item.dataset else {}
        chunk = chunks(payload["range_start"], payload["range_end"])[item.chunk]
        name = file_name(payload["chain_id"], payload["cryo_dataset_name"], chunk)
        key = item.key.replace("{prefix}", prefix(payload)).replace("{chunk}", name)
        body = _body(item, payload, name, chunk)
        has_metadata = item.content in {"whole", "fake", "other-rows"}
        found[key] = Content(body, _metadata(body, item.evidence) if has_metadata else {}, "")
    return found


def published(payload: Mapping[str, Any]) -> dict[str, Content]:
    """Return the objects of a task's complete version, by key, as another worker would have stored them."""
    return {
        key: Content(body, {} if key.endswith(MANIFEST_NAME) else _metadata(body, "rows"), "")
        for key, body in complete_version(payload).items()
    }


def _body(item: PreloadedObject, payload: Mapping[str, Any], name: str, chunk: range) -> bytes:
    if item.content == "text":
        return item.text.encode()
    if item.content in {"manifest", "short-manifest"}:
        keys = sorted(key for key in complete_version(payload) if key.endswith(".parquet"))
        return manifest(payload, keys[: len(keys) if item.content == "manifest" else 1])
    content = facts(name, chunk, lost_rows=item.content == "fewer-rows")
    if item.content == "other-rows":
        content["digest"] = hashlib.sha256(b"other rows").hexdigest()
    content["fake"] = item.content == "fake"
    body = json.dumps(content).encode()
    return body[:-20] if item.content == "broken" else body


def _metadata(body: bytes, evidence: str) -> dict[str, str]:
    content = json.loads(body)
    return {
        "sha256": hashlib.sha256(body).hexdigest(),
        "rows": str(content["rows"]),
        "block-min": str(content["first"]),
        "block-max": str(content["last"]),
        "evidence": evidence,
    }
