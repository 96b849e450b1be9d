"""The requests of an honest run, each with what selects it in a scenario: an operation, a key, a method, a number."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from harness.contract import MANIFEST_NAME
from harness.explore.cells import Operation
from harness.faults.store import Operation as StoreOperation
from harness.history import DispatcherCall, Event, RpcCall, StoreRequest, StoreResponse, of

STORE_OPERATIONS: tuple[StoreOperation, ...] = ("put", "get", "list", "delete")


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """A request to the store; `key` is a regular expression for its key, empty for operations without one."""

    operation: Operation
    kind: StoreOperation
    key: str
    has_condition: bool
    has_if_match: bool


@dataclass(frozen=True, slots=True)
class RpcTarget:
    """An HTTP request to the node with calls of `method`; `batch` is its number among batches, None for one call."""

    operation: Operation
    method: str
    names_block: bool
    batch: int | None


@dataclass(frozen=True, slots=True)
class DispatcherTarget:
    """A request to the dispatcher."""

    operation: Operation
    kind: str


class Labels:
    """Short names of keys: `manifest`, `file-1`, `other-1`; files are numbered by name, so that they are stable."""

    def __init__(self, events: Sequence[Event]) -> None:
        keys = {event.key for event in of(events, StoreRequest) if event.operation in {"put", "get"}}
        names = sorted({key.rpartition("/")[2] for key in keys} - {MANIFEST_NAME})
        self._files = [name for name in names if name.endswith(".parquet")]
        self._others = [name for name in names if name not in self._files]

    def of(self, key: str) -> str:
        """Return the short name of a key."""
        name = key.rpartition("/")[2]
        if name == MANIFEST_NAME:
            return "manifest"
        if name in self._files:
            return f"file-{self._files.index(name) + 1}"
        return f"other-{self._others.index(name) + 1}"


def key_pattern(key: str) -> str:
    """Return a regular expression for a key that does not depend on the version in its prefix."""
    name = key.rpartition("/")[2]
    return f"(^|/){re.escape(name)}$"


def request_name(event: StoreRequest, labels: Labels) -> str:
    """Return the name of a request to the store without its number: `put-manifest`, `list`."""
    keyed = event.operation in {"put", "get"}
    return f"{event.operation}-{labels.of(event.key)}" if keyed else event.operation


def store_targets(events: Sequence[Event]) -> tuple[list[StoreTarget], list[Operation]]:
    """Return the requests to the store that faults can select, and the others."""
    labels, counts = Labels(events), Counter[str]()
    responses = {event.request_number: event for event in of(events, StoreResponse)}
    targets: list[StoreTarget] = []
    others: list[Operation] = []
    for request in of(events, StoreRequest):
        name = request_name(request, labels)
        counts[name] += 1
        operation = Operation(name, counts[name])
        kind = next((known for known in STORE_OPERATIONS if known == request.operation), None)
        if kind is None:
            others.append(operation)
            continue
        response = responses.get(request.number)
        if_match = response is not None and response.if_match is not None
        condition = if_match or (response is not None and response.create_only)
        key = key_pattern(request.key) if kind in {"put", "get"} else ""
        targets.append(StoreTarget(operation, kind, key, condition, if_match))
    return targets, others


def rpc_targets(events: Sequence[Event]) -> list[RpcTarget]:
    """Return the HTTP requests to the node, once for each method in them."""
    requests: dict[int, list[RpcCall]] = defaultdict(list)
    for call in of(events, RpcCall):
        requests[call.request].append(call)
    counts, batches = Counter[str](), Counter[str]()
    targets = []
    for calls in requests.values():
        for method in dict.fromkeys(call.method for call in calls):
            counts[method] += 1
            batches[method] += len(calls) > 1
            named = any(call.blocks is not None for call in calls if call.method == method)
            batch = batches[method] if len(calls) > 1 else None
            targets.append(RpcTarget(Operation(method, counts[method]), method, named, batch))
    return targets


def dispatcher_targets(events: Sequence[Event]) -> list[DispatcherTarget]:
    """Return the claims, heartbeats and completions."""
    counts = Counter[str]()
    targets = []
    for call in of(events, DispatcherCall):
        if call.kind in {"claim", "heartbeat", "complete"}:
            counts[call.kind] += 1
            targets.append(DispatcherTarget(Operation(call.kind, counts[call.kind]), call.kind))
    return targets
