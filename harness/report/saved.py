"""Saved histories, held to the scenario that they are of, so that no check need believe a line of them blindly."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from harness.history import BadHistory, Event, TaskEntered, begun, load, of
from harness.scenario import Scenario, problems


def events_of(path: Path) -> list[Event]:
    """Read a saved history.

    Raises:
        BadHistory: it can't be read, its scenario is none, or of another version of the harness, or its tasks are not
            those of the scenario.
        OSError: the file can't be read.
    """
    events = load(path)
    try:
        scenario = Scenario.model_validate(begun(events).scenario)
    except ValidationError as error:
        told = error.errors(include_input=False)[0]
        where = ".".join(map(str, told["loc"]))
        raise BadHistory(f"{path.name}: its scenario is of another version: {where}: {told['msg']}") from None
    if found := problems(scenario):
        where = ".".join(map(str, found[0].place))
        raise BadHistory(f"{path.name}, line 1: its scenario: {where}: {found[0].message}")
    tasks = of(events, TaskEntered)
    if len(tasks) != len(scenario.tasks):
        raise BadHistory(f"{path.name}: it has {len(tasks)} tasks, and its scenario {len(scenario.tasks)}")
    for event, line in zip(tasks, scenario.tasks, strict=True):
        if event.payload != line.value():
            raise BadHistory(f"{path.name}, line {event.number}: task {event.task}: its payload is not the scenario's")
    return events
