"""LSE-3 for a worker that the harness pauses."""

import pytest

from harness.checks.evidence import Evidence
from harness.checks.outcomes import lse_3
from harness.history import CryoEnded, CryoStarted, DispatcherCall, FinalState, HarnessAction, ScenarioStarted
from harness.runner.recorder import Recorder
from harness.scenario import find


@pytest.mark.parametrize(("resumed_at", "count"), [(None, 1), (3.0, 1), (18.0, 0)])
def test_lse_3_a_paused_worker_stops_its_cryo_when_it_continues(resumed_at: float | None, count: int):
    """LSE-3: the 5 seconds for stopping Cryo begin when the worker continues, if that is after the lease's end."""
    (scenario,) = find(["zombie-service"])
    recorder = Recorder()
    recorder.add(
        ScenarioStarted, scenario=scenario.model_dump(mode="json"), target="t", store="moto", bucket="b",
        staging_root="/s",
    )  # fmt: skip
    recorder.add(
        DispatcherCall, kind="claim", task_id="t", attempt=1, request={}, status=200, response={}, fault=None, worker=0
    )
    cryo = recorder.add(CryoStarted, arguments=(), environment=(), directory="/s/t/1", pid=2, staged=())
    if resumed_at is not None:
        recorder.add(HarnessAction, action="SIGCONT")
    recorder.add(CryoEnded, start_number=cryo.number)
    recorder.add(FinalState, objects={}, staged=())
    times = {"harness_action": resumed_at, "cryo_ended": 20.0, "final_state": 25.0}
    events = [event.model_copy(update={"at": times.get(event.kind, 0.0)}) for event in recorder.events]
    found = lse_3(Evidence(events))
    assert found is not None
    assert len([each for each in found if each.expected.startswith("Cryo is stopped")]) == count
