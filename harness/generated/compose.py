"""Composes scenarios from values of dimensions, and fills in what the model of the contract expects of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from harness.generated import history, payloads, surroundings
from harness.generated.draft import Draft, Value
from harness.generated.surroundings import Impossible
from harness.model import Allowed, allowed, bad_fields, evidence_of
from harness.model.payload import parsed
from harness.scenario import Scenario, problems
from harness.scenario.expectations import STATE_WHETHER_CRYO_RUNS

Row = Mapping[str, str]
"""The name of a value for each dimension."""

USUAL = "usual"
ANY_CLAUSE = "OUT-1"
"""The clause of a scenario while it is composed."""


@cache
def dimensions() -> dict[str, dict[str, Value]]:
    """Return all dimensions with their values, by name; the first value of each is the usual one.

    Dimensions are applied in this order, and later ones read what earlier ones have set.
    """
    lists = {
        "range": payloads.ranges(),
        "dataset": payloads.datasets(),
        "level": surroundings.levels(),
        "delivery": surroundings.deliveries(),
        "endpoints": surroundings.endpoints(),
        "caps": surroundings.caps(),
        "stored": history.stored(),
        "cryo": history.cryo(),
        "store": surroundings.store_faults(),
        "dispatcher": surroundings.dispatcher_faults(),
        "tasks": history.tasks(),
        "payload": payloads.texts(),
    }
    return {name: {value.name: value for value in values} for name, values in lists.items()}


def usual_row() -> dict[str, str]:
    """Return the row of the usual values."""
    return {name: next(iter(values)) for name, values in dimensions().items()}


def compose(row: Row, *, name: str = "generated") -> Scenario:
    """Return the scenario of a row, with the outcomes that the model allows; missing dimensions have the usual value.

    Raises:
        Impossible: the values exclude each other, or the model does not know what comes of them.
    """
    scenario = _draft(row, name)
    if scenario.preloaded_objects and bad_fields(parsed(scenario.tasks[0])):
        raise Impossible("a bad payload has no prefix for stored objects")
    expected = allowed(scenario)
    if scenario.delivery == "worker" and any(each.outcome == "bad_configuration" for each in expected):
        raise Impossible("a service that does not start claims nothing")
    lines = []
    for line, each in zip(scenario.tasks, expected, strict=True):
        if each.outcome is None:
            raise Impossible(f"the model allows {', '.join(sorted(each.outcomes))}")
        lines.append(line.model_copy(update={"outcome": each.outcome, "cryo": _cryo(scenario, each)}))
    clauses = tuple(sorted({clause for each in expected for clause in _clauses(each)}))
    evidence = evidence_of(scenario.tasks[0].payload().get("cryo_dataset_name"), scenario.level)
    changes: dict[str, Any] = {"evidence": evidence} if evidence != scenario.level else {}
    changes |= {"tasks": tuple(lines), "clauses": clauses, "title": _title(row)}
    scenario = scenario.model_copy(update=changes)
    if wrong := problems(scenario):
        raise Impossible(f"{'.'.join(map(str, wrong[0][0]))}: {wrong[0][1]}")
    return scenario


def _draft(row: Row, name: str) -> Scenario:
    if unknown := [f"{name} {value}" for name, value in row.items() if value not in dimensions().get(name, {})]:
        raise Impossible(f"unknown value: {unknown[0]}")
    draft = Draft()
    for dimension, values in dimensions().items():
        values[row.get(dimension, next(iter(values)))].apply(draft)
    fields: dict[str, Any] = {"name": name, "title": name, "clauses": (ANY_CLAUSE,), **draft.finished()}
    try:
        return Scenario.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise Impossible(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _cryo(scenario: Scenario, each: Allowed) -> bool | None:
    """Return False if Cryo must not run, by a clause that says so; a made-up version comes without a process."""
    says_so = STATE_WHETHER_CRYO_RUNS & _clauses(each)
    return False if each.cryo is False and scenario.mode == "real" and says_so else None


def _clauses(each: Allowed) -> set[str]:
    """Return the clauses that a task exercises by its end."""
    if each.outcome == "success":
        return {"RNG-2", "LAY-6", *({"LAY-10"} & set(each.clauses))}
    if each.outcome == "success_or_retry":
        return {"OUT-1"}
    return set(each.clauses) if each.outcome == "bad_configuration" else {"PUB-3", *each.clauses}


def _title(row: Row) -> str:
    usual = usual_row()
    unusual = [f"{name} {value}" for name, value in row.items() if value != usual[name]]
    return "; ".join(unusual) or "nothing unusual"


def spoils(dimension: str, value: str) -> bool:
    """Return whether a value alone keeps the task from its success."""
    try:
        return any(each.outcomes != frozenset(("success",)) for each in allowed(_draft({dimension: value}, "alone")))
    except Impossible:
        return False
