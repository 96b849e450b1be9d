"""The laws of runs with a signal."""

from typing import Any

import pytest

from harness.explore.base import explored
from harness.explore.cells import Cell
from harness.explore.generate import generate
from harness.explore.laws import broken_laws
from harness.history import (
    CryoEnded,
    CryoStarted,
    DispatcherCall,
    Event,
    FinalState,
    HarnessAction,
    StoreRequest,
    StoreResponse,
)
from harness.runner.recorder import Recorder
from harness.scenario import find

CRYO: dict[str, Any] = {"arguments": (), "environment": (), "directory": "/d", "pid": 2, "staged": ()}


@pytest.fixture
def cells(honest: list[Event]) -> dict[str, Cell]:
    found, _ = generate(explored(find(["straight-service"])[0]), honest)
    return {cell.name: cell for cell in found}


def at(events: list[Event], kind: str, seconds: float) -> list[Event]:
    """Return the events, with those of a kind at another time."""
    return [event.model_copy(update={"at": seconds}) if event.kind == kind else event for event in events]


@pytest.mark.parametrize(("seconds", "count"), [(1.0, 0), (5.0, 1)])
def test_stg_5_cryo_ends_with_a_killed_worker(cells: dict[str, Cell], seconds: float, count: int):
    """STG-5: Cryo that still runs some seconds after SIGKILL of its worker is a violation."""
    recorder = Recorder()
    started = recorder.add(CryoStarted, **CRYO)
    recorder.add(HarnessAction, action="SIGKILL", worker=0)
    recorder.add(CryoEnded, start_number=started.number)
    recorder.add(FinalState, objects={}, staged=())
    events = at(at(recorder.events, "harness_action", 0.0), "cryo_ended", seconds)
    broken = broken_laws(cells["sent-list.1+SIGKILL"], events)
    assert [clause for clause, _ in broken] == ["STG-5"] * count
    assert broken_laws(cells["list.1+500"], events) == []


@pytest.mark.parametrize(("claimed_first", "count"), [(True, 0), (False, 1)])
def test_lay_10_a_complete_version_needs_no_cryo(cells: dict[str, Cell], claimed_first: bool, count: int):  # noqa: FBT001 - a parameter of the test
    """LAY-10: an attempt that was claimed after the manifest was stored does not run Cryo."""
    recorder = Recorder()

    def claim() -> None:
        recorder.add(
            DispatcherCall, kind="claim", task_id="t", attempt=2, request={}, status=200, response={}, fault=None
        )

    if claimed_first:
        claim()
    request = recorder.add(StoreRequest, operation="put", key="cryo/v/_manifest.json")
    recorder.add(
        StoreResponse, kind="object_put", request_number=request.number, operation="PUT", key="cryo/v/_manifest.json",
        status=200, delivered_status=200,
    )  # fmt: skip
    if not claimed_first:
        claim()
    recorder.add(CryoStarted, **CRYO)
    recorder.add(FinalState, objects={}, staged=())
    broken = broken_laws(cells["done-put-manifest.1+SIGTERM"], recorder.events)
    assert [clause for clause, _ in broken] == ["LAY-10"] * count
