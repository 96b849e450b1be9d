"""Laws about complete data that is in the store already: it stays, and it is published without Cryo (LAY-10).

The check of LAY-10 judges what a scenario has preloaded. In a simulation the earlier data come from other attempts.
"""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from harness.contract import MANIFEST_NAME, chunks, file_name, manifest, prefix
from harness.history import CryoStarted, DispatcherCall, HarnessAction, StoreResponse, TaskCreated, of
from harness.simulate.process import facts
from harness.simulate.store import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.history import Event


def complete_version(payload: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the body of each object of a task's complete version, by key."""
    parts = chunks(payload["range_start"], payload["range_end"])
    names = {file_name(payload["chain_id"], payload["cryo_dataset_name"], part): part for part in parts}
    bodies = {prefix(payload) + name: json.dumps(facts(name, part)).encode() for name, part in names.items()}
    bodies[prefix(payload) + MANIFEST_NAME] = manifest(payload, bodies)
    return bodies


def needless_changes(events: Sequence[Event]) -> list[str]:
    """Find complete objects that were replaced or deleted, and runs of Cryo for a version that was complete before."""
    versions = {event.task_id: complete_version(event.payload) for event in of(events, TaskCreated)}
    expected = {key: hashlib.sha256(body).hexdigest() for version in versions.values() for key, body in version.items()}
    stored: set[str] = set()
    complete_at_claim: dict[int | None, bool] = {}
    problems = []
    for event in events:
        if isinstance(event, StoreResponse) and event.status == HTTPStatus.OK:
            if event.key in stored and event.operation in {"PUT", "DELETE"}:
                problems.append(f"LAY-10: expected that {event.key} stays, which is complete; seen: {event.operation}")
            if event.operation == "PUT" and event.digest == expected.get(event.key):
                stored.add(event.key)
        elif isinstance(event, HarnessAction) and event.action.startswith(COMPLETE):
            stored |= {key for key in expected if key.startswith(event.action.removeprefix(COMPLETE))}
        elif isinstance(event, DispatcherCall) and event.kind == "claim" and event.task_id is not None:
            complete_at_claim[event.worker] = versions[event.task_id].keys() <= stored
        elif isinstance(event, CryoStarted) and complete_at_claim.get(event.worker):
            problems.append(
                "LAY-10: expected that a complete version is published without Cryo; seen: Cryo was started"
            )
    return problems
