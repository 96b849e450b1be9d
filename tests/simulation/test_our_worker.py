"""Our own service in the simulation: every fault at every operation, and runs that arise again to the letter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.scenario import find
from harness.simulate.campaign import Part, Work, run_part, seed_parts
from harness.simulate.explore import explore, pairs_after, shrink, single_faults
from harness.simulate.plan import KINDS, Operation, PlannedFault
from harness.simulate.replay import BadReplay, Replay, find_target, load
from harness.simulate.run import Run, simulate
from harness.simulate.sometimes import SITUATIONS, reached
from simulation.adapter import worker

(SCENARIO,) = find(["straight-service"])
TARGET = "simulation.adapter:worker"
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def clean() -> Run:
    return simulate(SCENARIO, worker)


def test_an_honest_run_keeps_every_clause(clean: Run):
    """The service runs unchanged from the wake-up to the acknowledgement, and every check of a scenario passes."""
    assert clean.problems == ()
    assert clean.attempts == 1
    names = {operation.name for operation in clean.operations}
    assert names >= {"dispatcher.claim", "dispatcher.heartbeat", "dispatcher.complete", "store.create", "cryo.file"}


def test_every_fault_of_every_operation_is_survived(clean: Run):
    """Once the faults are over, the task has ended as a success, published once, and no clause is broken."""
    campaign = explore(SCENARIO, worker, single_faults(clean.operations))
    assert [(list(map(str, run.plan)), run.problems) for run in campaign.failed] == []
    assert campaign.unreached == []
    assert campaign.reached == {(operation.name, kind) for operation in clean.operations for kind in KINDS}
    assert campaign.situations == SITUATIONS.keys()


@pytest.mark.parametrize(
    ("fault", "situation"),
    [
        ("dispatcher.claim#1 crash-after", "an attempt ends before Cryo starts, and another takes over"),
        (
            "cryo.file#1 crash-before",
            "an attempt ends after Cryo has started and before the first file is stored, and another takes over",
        ),
        ("cryo.file#1 crash-before", "a worker is killed while Cryo runs"),
        ("cryo.file#1 refused", "Cryo runs again in the same attempt"),
        (
            "store.create#2 crash-between",
            "an attempt ends between the first stored file and the manifest, and another takes over",
        ),
        ("store.create#2 crash-between", "stored files of an earlier attempt are kept"),
        ("store.create#1 unanswered", "a PUT finds the worker's own object, whose answer was lost"),
        ("store.create#3 crash-between", "an attempt ends after its manifest, and another takes over"),
        ("store.create#3 crash-between", "a complete version of an earlier attempt is published without Cryo"),
        ("dispatcher.heartbeat#1 unanswered", "a heartbeat fails, and a later one renews the lease"),
        ("dispatcher.complete#1 unanswered", "a completion is sent again after it was accepted"),
        ("queue.receive#1 unanswered", "a wake-up is delivered again"),
    ],
)
def test_each_situation_is_recognised(fault: str, situation: str, clean: Run):
    """A fault leads to the situation, and a run without faults to none."""
    (plan,) = (plan for plan in single_faults(clean.operations) if str(plan[0]) == fault)
    assert situation in reached(simulate(SCENARIO, worker, plan=plan).events)
    assert reached(clean.events) == set()


@pytest.mark.parametrize(
    "first",
    [
        PlannedFault(Operation("store.create", 3), "unanswered"),
        PlannedFault(Operation("store.create", 1), "crash-between"),
        PlannedFault(Operation("dispatcher.complete", 1), "crash-before"),
    ],
    ids=str,
)
def test_a_second_fault_during_the_recovery_is_survived(first: PlannedFault):
    """Some of the pairs; `make simulate` runs all of them."""
    campaign = explore(SCENARIO, worker, list(pairs_after(SCENARIO, worker, first, seed=0))[::7])
    assert [(list(map(str, run.plan)), run.problems) for run in campaign.failed] == []
    assert campaign.runs > 5


def test_a_random_plan_that_does_not_fit_the_run_is_no_gap():
    """Random faults may be for operations that never come; this leaves no single fault unexercised."""
    work = Work(TARGET, SCENARIO.name, 0)
    (part,) = seed_parts(12)
    campaign = run_part(work, part)
    assert campaign.runs == 12
    assert campaign.unreached == []
    assert [(list(map(str, run.plan)), run.problems) for run in campaign.failed] == []

    never = PlannedFault(Operation("store.create", 99), "refused")
    assert run_part(work, Part(plans=((never,),))).unreached == [(never,)]


def test_a_run_is_a_function_of_its_seed_and_plan():
    """Equal in other processes with other hashes, and different for another seed."""
    program = (
        "from harness.simulate.replay import find_scenario, find_target\n"
        "from harness.simulate.run import simulate\n"
        f"print(simulate(find_scenario('straight-service'), find_target('{TARGET}'), seed=7).digest)\n"
    )
    digests = set()
    for seed in ("0", "1"):
        variables = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(TESTS)}
        result = subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True
        )
        digests.add(result.stdout)
    assert digests == {simulate(SCENARIO, worker, seed=7).digest + "\n"}
    assert simulate(SCENARIO, worker, seed=8).digest + "\n" not in digests


async def forgetful(bench: object) -> None:
    """Run the worker, but let it replace whatever is in the store."""
    from simulation import adapter  # noqa: PLC0415 - the class is changed for one run below

    class Overwriting(adapter.StorePort):
        async def create(self, key: str, body: Path | bytes, *, metadata: object) -> None:
            del metadata
            await adapter._available(self.bench.delete(key))
            await super().create(key, body, metadata={})

    await adapter.run_service(bench, Overwriting(bench))  # type: ignore[arg-type]


def test_a_planted_bug_is_found_shrunk_and_replayed(tmp_path: Path):
    """A worker that deletes objects before it writes them breaks a clause; one fault, or none, is enough to show it."""
    plan = (
        PlannedFault(Operation("queue.receive", 1), "refused"),
        PlannedFault(Operation("store.list", 2), "slow"),
    )
    failed = simulate(SCENARIO, forgetful, plan=plan)
    assert failed.problems
    smallest = shrink(SCENARIO, forgetful, failed, seed=0)
    assert len(smallest.plan) < len(plan)
    saved = Replay(TARGET, "straight-service", 0, smallest.plan)
    saved.save(tmp_path / "found.json")
    assert load(tmp_path / "found.json") == saved


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no JSON", "is not a saved run"),
        (json.dumps({"target": "x", "scenario": "y", "seed": 0}), "faults"),
        (
            json.dumps(
                {
                    "target": "x",
                    "scenario": "y",
                    "seed": 0,
                    "faults": [{"operation": "a", "number": 1, "kind": "odd", "lasting": False}],
                }
            ),
            "'odd' is not one of refused",
        ),
    ],
    ids=["not JSON", "no faults", "unknown kind"],
)
def test_a_bad_file_is_named(content: str, words: str, tmp_path: Path):
    """The message says what is wrong."""
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(BadReplay, match=words):
        load(tmp_path / "bad.json")


@pytest.mark.parametrize("name", ["nothing", "no.such:module", "json:nothing"])
def test_a_target_that_does_not_exist_is_named(name: str):
    """The message shows the form."""
    with pytest.raises(BadReplay, match="MODULE:FUNCTION"):
        find_target(name)


def test_a_success_that_no_worker_has_seen_is_a_success():
    """The first attempt fails and is reported; the second worker dies when its completion has been accepted."""
    plan = (
        PlannedFault(Operation("store.read", 3), "refused"),
        PlannedFault(Operation("dispatcher.complete", 2), "crash-between"),
    )
    assert simulate(SCENARIO, worker, plan=plan).problems == ()
