"""Translates the plan of a simulated run into a scenario, which shows the same over the wire, in any language.

What a scenario file can't express is refused: slow requests, orders of two workers, faults of the queue. On the wire a
request that the proxy has seen may still reach the store when its worker is killed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.explore.base import explored
from harness.faults import DispatcherFault, StoreFault, Trigger
from harness.faults.rpc import Result
from harness.simulate.plan import CRASHES, PlannedFault

if TYPE_CHECKING:
    from harness.scenario import Scenario
    from harness.simulate.plan import Kind, Step


class Untranslatable(Exception):
    """A plan has a part that no scenario expresses; the message names it."""


_STORE: dict[str, tuple[str, dict[str, Any]]] = {
    "store.list": ("list", {}),
    "store.read": ("get", {}),
    "store.create": ("put", {}),
    "store.replace": ("put", {"replacing": True}),
    "store.delete": ("delete", {}),
}
"""The operation of a store fault, and its further fields."""
_EVENTS = {
    "store.list": "object_listed",
    "store.read": "object_read",
    "store.create": "object_put",
    "store.replace": "object_put",
    "store.delete": "object_deleted",
    "dispatcher.claim": "claim",
    "dispatcher.heartbeat": "heartbeat",
    "dispatcher.complete": "complete",
    "queue.receive": "message_received",
    "queue.acknowledge": "message_acknowledged",
    "cryo.file": "cryo_wrote",
}
"""The event of a history that shows that an operation has had its effect."""
_ANSWERS: dict[Kind, dict[str, Any]] = {
    "refused": {"status": 503, "code": "ServiceUnavailable"},
    "unanswered": {"do": "hang", "when": "after"},
    "cut-off": {"do": "cut", "when": "after"},
}
_RESPONSES: dict[Kind, dict[str, Any]] = {
    "refused": {"do": "status", "status": 503},
    "unanswered": {"do": "hang", "when": "after"},
    "cut-off": {"do": "reset", "when": "after"},
}
_CRYO: dict[Kind, str] = {"refused": "fail_chunk", "unanswered": "omit_blocks", "cut-off": "disk_full"}
_SIGNALS: dict[Kind, str] = {"terminated": "SIGTERM", "stopped": "SIGSTOP"}


def as_scenario(base: Scenario, plan: tuple[Step, ...], *, name: str) -> Scenario:
    """Return a scenario of a service with the faults of a plan, each once.

    Raises:
        Untranslatable: a part of the plan can't be expressed.
    """
    scenario = explored(base)
    changes: dict[str, list[Any]] = {"store_faults": [], "dispatcher_faults": [], "rpc_faults": [], "triggers": []}
    for step in plan:
        if not isinstance(step, PlannedFault):
            raise Untranslatable(f"{step}: a scenario has no order of two workers")
        if step.lasting:
            raise Untranslatable(f"{step}: a scenario's faults last for a number of requests, not for a time")
        table, values = _translated(step)
        changes[table] += values
    update: dict[str, Any] = {table: (*values, *getattr(scenario, table)) for table, values in changes.items()}
    parts = "; ".join(map(str, plan)) or "no fault"
    clauses = tuple(clause for clause in scenario.clauses if clause not in {"OUT-1", "LSE-4"})
    return scenario.model_copy(update=update | {"name": name, "title": f"A simulated run: {parts}", "clauses": clauses})


def _translated(step: PlannedFault) -> tuple[str, list[Any]]:
    """Return the table of a scenario and what is added to it."""
    name, kind, nth = step.operation.name, step.kind, step.operation.number
    if kind == "power-loss":
        raise Untranslatable(f"{step}: a scenario's disk loses nothing")
    if kind in CRASHES or kind in _SIGNALS or kind == "lease-taken":
        return "triggers", _triggers(step)
    if name in _STORE and kind in _ANSWERS:
        operation, fields = _STORE[name]
        return "store_faults", [StoreFault(operation=operation, nth=nth, times=1, **fields, **_ANSWERS[kind])]  # type: ignore[arg-type] # pydantic checks it
    if name.startswith("dispatcher.") and kind in _RESPONSES:
        which = name.removeprefix("dispatcher.")
        return "dispatcher_faults", [DispatcherFault(kind=which, nth=nth, times=1, **_RESPONSES[kind])]  # type: ignore[arg-type] # as above
    if name == "cryo.file" and kind in _CRYO:
        fault: dict[str, Any] = {"do": _CRYO[kind], "chunk": nth - 1}
        if kind == "unanswered":
            fault |= {"first": 0, "last": 2**32}
        # A script of the first run only: a scenario's own faults of Cryo are those of all its runs.
        return "rpc_faults", [Result(method="harness_script", times=1, value={"faults": [fault]})]
    raise Untranslatable(f"{step}: a scenario can't express this")


def _triggers(step: PlannedFault) -> list[Trigger]:
    event = _EVENTS.get(step.operation.name)
    if event is None:
        raise Untranslatable(f"{step}: no event of a history shows this operation")
    at: dict[str, Any] = {"event": event, "nth": step.operation.number, "times": 1}
    if step.kind == "lease-taken":
        return [Trigger(do="take-lease", **at)]
    signal: Any = _SIGNALS.get(step.kind, "SIGKILL")
    found = [Trigger(do="start-worker", **at), Trigger(do=signal, **at)]
    if signal == "SIGSTOP":
        found.append(Trigger(do="SIGCONT", event="complete", times=1))
    return found
