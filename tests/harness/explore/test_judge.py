"""What came of a cell, and which cells a budget allows."""

import re
import threading

import pytest
import typer

from harness.explore import report
from harness.explore.base import explored
from harness.explore.campaign import Budget, run_all
from harness.explore.cells import Cell, Skipped
from harness.explore.commands import chosen
from harness.explore.generate import generate
from harness.explore.judge import Judged, Status, judge
from harness.history import Event, FinalState, ScenarioStarted, TaskCreated, TimedOut
from harness.resources import clause_ids
from harness.runner.recorder import Recorder
from harness.scenario import PAYLOAD, find

TASK = "5b0e0f6a-3a41-4c6b-8f8e-0d2c9f0a1b2c"


@pytest.fixture
def cells(honest: list[Event]) -> list[Cell]:
    found, _ = generate(explored(find(["straight-service"])[0]), honest)
    return found


def of_name(cells: list[Cell], name: str) -> Cell:
    return next(cell for cell in cells if cell.name == name)


def history_of(cell: Cell, *, unfired: tuple[str, ...] = (), timed_out: bool = False) -> list[Event]:
    """Return the history of a run in which the worker did nothing."""
    recorder = Recorder()
    recorder.add(
        ScenarioStarted, scenario=cell.scenario.model_dump(mode="json"), target="t", store="moto", bucket="b",
        staging_root="/staging",
    )  # fmt: skip
    recorder.add(TaskCreated, task=0, task_id=TASK, payload=PAYLOAD)
    if timed_out:
        recorder.add(TimedOut, what="a worker did not end")
    recorder.add(FinalState, objects={}, staged=(), unfired_faults=unfired)
    return recorder.events


def test_a_task_that_is_never_reported_is_a_problem(cells: list[Cell]):
    """Liveness: the task must be published within its attempts."""
    cell = of_name(cells, "list.1+500")
    judged = judge(cell, history_of(cell), clause_ids())
    assert judged.status is Status.VIOLATED
    assert "liveness: task 0 must end as success; seen: no report" in judged.problems


def test_a_run_that_times_out_is_a_problem(cells: list[Cell]):
    """Liveness: a worker that does not end is one, even where a cancelled task need not be reported."""
    cell = of_name(cells, "claim.1+cancel")
    judged = judge(cell, history_of(cell, timed_out=True), clause_ids())
    assert judged.problems == ("liveness: a worker did not end within 90 s",)


def test_a_fault_that_never_fired_has_not_passed(cells: list[Cell]):
    """Such a cell shows nothing, and is counted apart."""
    cell = of_name(cells, "claim.1+cancel")
    assert judge(cell, history_of(cell), clause_ids()).status is Status.PASSED
    judged = judge(cell, history_of(cell, unfired=("dispatcher claim cancel #1",)), clause_ids())
    assert judged.status is Status.UNFIRED
    assert judged.problems == ("a fault never fired: dispatcher claim cancel #1",)


def test_only_clauses_of_the_profile_count(cells: list[Cell]):
    """A worker is not judged by clauses that its profile does not have; liveness always counts."""
    cell = of_name(cells, "list.1+500")
    assert "PUB-1" in judge(cell, history_of(cell), clause_ids()).clauses
    judged = judge(cell, history_of(cell), {"SEC-1"})
    assert judged.clauses == ()
    assert judged.status is Status.VIOLATED


def test_a_budget_of_runs_leaves_the_last_cells_out(cells: list[Cell]):
    """Cells run in their order, at most as many as the budget allows."""
    seen: list[Judged] = []
    ran = run_all(
        cells, lambda cell: Judged(cell, Status.PASSED), jobs=3, budget=Budget(runs=5), stop=threading.Event(),
        report=seen.append,
    )  # fmt: skip
    assert [judged.cell for judged in ran] == cells[:5]
    assert len(seen) == 5


def test_a_budget_of_seconds_starts_nothing_more(cells: list[Cell]):
    """What runs when the time is up runs to its end."""
    times = iter(range(1000))
    ran = run_all(
        cells, lambda cell: Judged(cell, Status.PASSED), jobs=1, budget=Budget(seconds=4), stop=threading.Event(),
        report=lambda _: None, clock=lambda: float(next(times)),
    )  # fmt: skip
    assert [judged.cell for judged in ran] == cells[:3]


def test_an_exception_of_the_harness_is_an_error_of_its_cell(cells: list[Cell]):
    """The other cells still run, and the cell has not passed."""

    def run_one(cell: Cell) -> Judged:
        if cell is cells[0]:
            raise RuntimeError("no port is left")
        return Judged(cell, Status.PASSED)

    ran = run_all(cells[:2], run_one, jobs=1, budget=Budget(), stop=threading.Event(), report=lambda _: None)
    assert [judged.status for judged in ran] == [Status.ERROR, Status.PASSED]
    assert ran[0].problems == ("the harness failed: RuntimeError: no port is left",)


def test_the_report_counts_every_cell(cells: list[Cell]):
    """What ran, what did not and what was left out is never added up."""
    statuses = (Status.PASSED, Status.VIOLATED, Status.UNFIRED, Status.ERROR)
    judged = tuple(Judged(cell, status, ("why",)) for cell, status in zip(cells, statuses, strict=False))
    found = report.Exploration("s", judged, tuple(cells[4:7]), (Skipped("head.1", "no fault"),))
    text = list(report.lines(found))
    assert text[-1] == (
        "s: 7 cells, 4 run: 1 passed, 1 violated, 1 whose fault never fired, 1 errors; 3 not run, 1 skipped"
    )
    assert "skipped head.1: no fault" in text
    document = report.as_json(found)
    assert document["counts"] == {"passed": 1, "violated": 1, "unfired": 1, "error": 1}
    assert (document["generated"], document["run"], len(document["not_run"])) == (7, 4, 3)


def test_a_pattern_that_matches_no_cell_is_a_usage_error(cells: list[Cell], capsys: pytest.CaptureFixture[str]):
    """It says what names look like."""
    assert chosen(cells, re.compile(r"^claim\.1")) == [cell for cell in cells if cell.name.startswith("claim.1")]
    with pytest.raises(typer.Exit) as refused:
        chosen(cells, re.compile("clam"))
    assert refused.value.exit_code == 64
    assert f"'clam' matches none of the {len(cells)} cells; names are like {cells[0].name}" in capsys.readouterr().err
