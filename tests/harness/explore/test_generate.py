"""The cells of an honest run."""

from pathlib import Path

import pytest

from harness.explore import files
from harness.explore.base import Unexplorable, explored
from harness.explore.cells import Cell, Skipped, breadth_first
from harness.explore.generate import generate, without_defects
from harness.history import Event
from harness.scenario import Scenario, find, problems, read
from harness.targets import find as find_target
from harness.targets.fit import fitted

ONLY_OF_SERVICES = {"claim", "complete", "message_received", "message_acknowledged"}


def scenario_of(name: str) -> Scenario:
    return explored(find([name])[0])


def cells_of(name: str, events: list[Event]) -> dict[str, Cell]:
    scenario = scenario_of(name)
    if scenario.delivery == "run":
        events = [event for event in events if event.kind not in ONLY_OF_SERVICES]
    cells, _ = generate(scenario, events)
    found = {cell.name: cell for cell in cells}
    assert len(found) == len(cells), "two cells have the same name"
    return found


@pytest.fixture(params=["straight-service", "straight-run"])
def cells(request: pytest.FixtureRequest, honest: list[Event]) -> dict[str, Cell]:
    return cells_of(request.param, honest)


def test_every_request_and_every_event_has_cells(honest: list[Event]):
    """Each request gets the faults of its kind, and each event the three signals."""
    names = {str(cell.operation) for cell in cells_of("straight-service", honest).values()}
    requests = {"put-file-1.1", "put-file-1.2", "put-manifest.1", "list.1", "claim.1", "complete.1"}
    calls = {"eth_chainId.1", "eth_getBlockByNumber.1"}
    events = {
        "message_received.1", "sent-head.1", "done-head.1", "rpc_call-eth_chainId.1",
        "rpc_call-eth_getBlockByNumber.1", "rpc_call-eth_getBlockByNumber.2", "cryo_ended.1", "sent-put-file-1.1",
        "done-put-file-1.1", "sent-put-file-1.2", "done-put-file-1.2", "sent-put-manifest.1", "done-put-manifest.1",
        "sent-list.1", "done-list.1", "message_acknowledged.1",
    }  # fmt: skip
    assert names == requests | calls | events


def test_a_fault_applies_once_to_one_request(cells: dict[str, Cell]):
    """A cell has exactly one fault, which selects one request by its operation, its key and its number."""
    (fault,) = cells["put-file-1.2+503-after"].scenario.store_faults
    assert (fault.nth, fault.times, fault.when, fault.status) == (2, 1, "after", 503)
    assert fault.matches("PUT", "/bucket/any/network_31337__blocks__00000500_to_00001499.parquet", "", {})
    assert not fault.matches("PUT", "/bucket/any/_manifest.json", "", {})


def test_a_condition_is_needed_for_the_faults_of_conditions(cells: dict[str, Cell]):
    """Only a PUT with If-Match can be answered as if its ETag were wrong."""
    assert "put-file-1.2+refuse-quoted-etags" in cells
    assert "put-file-1.1+refuse-quoted-etags" not in cells
    assert "put-file-1.1+ignore-conditions" in cells


def test_every_generated_scenario_follows_the_rules_of_scenario_files(cells: dict[str, Cell], tmp_path: Path):
    """What `--save` writes can be read, and is the same scenario."""
    for cell in cells.values():
        assert not problems(cell.scenario), cell.name
        assert read(files.save(cell.scenario, tmp_path)) == cell.scenario


def test_a_second_worker_takes_over_from_a_killed_one(honest: list[Event]):
    """The other worker starts before the signal, so that one is left."""
    cells = cells_of("straight-service", honest)
    killed = cells["sent-put-manifest.1+SIGKILL"].scenario
    assert [trigger.do for trigger in killed.triggers] == ["start-worker", "SIGKILL"]
    assert not {"OUT-1", "LSE-4"} & set(killed.clauses)


@pytest.mark.parametrize(
    ("cell", "woken_at"),
    [
        ("claim.1+SIGSTOP", ("complete", 1)),
        ("done-list.1+SIGSTOP", ("complete", 1)),
        ("complete.1+SIGSTOP", ("claim", 2)),
    ],
)
def test_a_paused_worker_continues_when_another_one_has_the_task(
    honest: list[Event], cell: str, woken_at: tuple[str, int]
):
    """It continues after the other's completion, or after the other's claim if it had completed the task itself."""
    cells = cells_of("straight-service", honest)
    assert [(each.event, each.nth) for each in cells[cell].scenario.triggers if each.do == "SIGCONT"] == [woken_at]


def test_what_cannot_be_explored_is_listed_with_its_reason(honest: list[Event]):
    """No cell disappears silently."""
    _, skipped = generate(scenario_of("straight-service"), honest)
    assert skipped == [
        Skipped("head.1", "no fault of the store selects this operation alone"),
        Skipped(
            "message_acknowledged.1+SIGSTOP",
            "no wake-up is left for another worker, after whose claim this one could continue",
        ),
    ]


def test_single_runs_get_a_second_attempt_that_must_publish(honest: list[Event]):
    """Where each attempt is a process, the first one may fail, and the second one must succeed."""
    cells = cells_of("straight-run", honest)
    assert cells["list.1+500"].allowed == (("success", "retryable_error"), ("success",))
    assert cells["sent-list.1+SIGKILL"].allowed[0][0] == "killed"
    assert [line.attempt for line in cells["list.1+500"].scenario.tasks] == [1, 2]
    assert not [cell for cell in cells.values() if cell.scenario.dispatcher_faults]


def test_a_budget_covers_operations_before_it_repeats_one(cells: dict[str, Cell]):
    """Every pair of an operation and a fault comes before any pair comes again; operations take turns."""
    ordered = [(cell.operation.name, cell.fault) for cell in breadth_first(cells.values())]
    pairs = set(ordered)
    assert set(ordered[: len(pairs)]) == pairs
    operations = {operation for operation, _ in pairs}
    assert {operation for operation, _ in ordered[: 2 * len(operations)]} == operations


def test_the_order_of_cells_is_the_same_in_every_run(honest: list[Event]):
    """The same budget covers the same cells."""
    assert list(cells_of("straight-service", honest)) == list(cells_of("straight-service", honest))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("wrong-chain", "every task succeeds"), ("killed-service", "without triggers"), ("two-at-once", "one task")],
)
def test_a_scenario_that_cannot_be_explored_is_rejected(name: str, reason: str):
    """The error says which kind of scenario to choose."""
    with pytest.raises(Unexplorable, match=reason):
        scenario_of(name)


def test_what_a_scenario_sets_is_kept():
    """The lease of a file that sets one is not shortened."""
    assert scenario_of("heartbeats").platform.lease_seconds == find(["heartbeats"])[0].platform.lease_seconds
    assert scenario_of("straight-service").platform.lease_seconds < 30


def test_a_generated_scenario_fits_our_target(cells: dict[str, Cell]):
    """It is a scenario as any other, which `cryo-harness run` accepts."""
    target = find_target("reference")
    assert all(fitted(cell.scenario, target) == cell.scenario for cell in cells.values())


def test_defects_of_the_store_are_left_out_where_no_clause_asks_for_protection(honest: list[Event]):
    """The core profile lacks LAY-5; each cell that is left out is listed with the reason."""
    cells, skipped = generate(scenario_of("straight-service"), honest)
    kept, left_out = without_defects(cells, skipped, {"RNG-4"})
    assert {cell.fault for cell in cells} - {cell.fault for cell in kept} >= {"keep-half", "ignore-conditions"}
    assert len(kept) + len(left_out) == len(cells) + len(skipped)
    assert without_defects(cells, skipped, {"LAY-5"}) == (cells, skipped)
