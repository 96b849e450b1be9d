"""Loads saved histories and checks them against their scenario, so that checks can rely on every field."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from harness.history import BadHistory, Event, TaskCreated, load, of, scenario_started
from harness.scenario import Scenario, problems


def events_of(path: Path) -> list[Event]:
    """Read a saved history.

    Raises:
        BadHistory: it is invalid, its scenario is invalid or of another version of the harness, or its tasks are not
            those of the scenario.
        OSError: the file can't be read.
    """
    events = load(path)
    try:
        scenario = Scenario.model_validate(scenario_started(events).scenario)
    except ValidationError as error:
        detail = error.errors(include_input=False)[0]
        where = ".".join(map(str, detail["loc"]))
        raise BadHistory(f"{path.name}: the scenario is of another version: {where}: {detail['msg']}") from None
    if found := problems(scenario):
        where = ".".join(map(str, found[0].location))
        raise BadHistory(f"{path.name}, line 1: the scenario: {where}: {found[0].message}")
    tasks = of(events, TaskCreated)
    if len(tasks) != len(scenario.tasks):
        raise BadHistory(f"{path.name}: it has {len(tasks)} tasks, the scenario has {len(scenario.tasks)}")
    for event, line in zip(tasks, scenario.tasks, strict=True):
        if event.payload != line.value():
            raise BadHistory(
                f"{path.name}, line {event.number}: task {event.task}: its payload differs from the scenario's"
            )
    return events
