"""Our own service in the simulation: every fault at every operation, and runs that arise again to the letter."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from harness.scenario import Scenario
from harness.simulate.campaign import Part, explore, generated_parts, run_all, run_part, seed_parts, single_parts
from harness.simulate.explore import interleavings, pairs_after, single_faults, turns_of_first_worker
from harness.simulate.plan import Operation, PlannedFault, Switch
from harness.simulate.replay import BadReplay, Replay, find_scenario, find_target, load
from harness.simulate.run import Run, simulate
from harness.simulate.schedule import is_counted
from harness.simulate.shrink import shrink
from harness.simulate.sometimes import reached
from harness.simulate.worlds import LEFTOVERS, ONE_TASK, THREE_TASKS, TWO_WORKERS, WORLDS
from simulation.adapter import worker

TARGET = "simulation.adapter:worker"
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def clean() -> Run:
    return simulate(ONE_TASK, worker)


def test_an_honest_run_keeps_every_clause(clean: Run):
    """The service runs unchanged from the wake-up to the acknowledgement, and every check of a scenario passes."""
    assert clean.problems == ()
    assert clean.attempts == 1
    names = {operation.name for operation in clean.operations}
    assert names >= {"dispatcher.claim", "dispatcher.heartbeat", "dispatcher.complete", "store.create", "cryo.file"}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_every_world_is_survived_without_faults(world: Scenario):
    """Several tasks, several workers and leftovers of an earlier version end as well as one task."""
    run = simulate(world, worker)
    assert run.problems == ()
    assert run.attempts == len(world.tasks)


def test_every_fault_of_every_operation_is_survived():
    """Once the faults are over, the task has ended as a success, published once, and no clause is broken.

    `make simulate` does the same in the other worlds.
    """
    world = ONE_TASK.name
    for part in single_parts(TARGET, world):
        campaign = run_part(part)
        assert [(list(map(str, run.plan)), run.problems) for run in campaign.failed] == []
        assert campaign.unreached == []
        firsts = [plan[0] for plan in part.plans if plan]
        assert {(world, fault.operation.name, fault.kind) for fault in firsts} == campaign.exercised.keys()


@pytest.mark.parametrize(
    ("fault", "situation"),
    [
        ("dispatcher.claim#1 crash-after", "an attempt ends before Cryo starts, and another takes over"),
        (
            "cryo.file#1 crash-before",
            "an attempt ends after Cryo has started and before the first file is stored, and another takes over",
        ),
        ("cryo.file#1 crash-before", "a worker is killed while Cryo runs"),
        ("cryo.file#1 power-loss", "the power fails while Cryo runs"),
        ("cryo.file#1 cut-off", "the disk is full while Cryo writes"),
        ("cryo.file#1 refused", "Cryo runs again in the same attempt"),
        (
            "store.create#2 crash-between",
            "an attempt ends between the first stored file and the manifest, and another takes over",
        ),
        ("store.create#2 crash-between", "stored files of an earlier attempt are kept"),
        ("store.create#1 unanswered", "a PUT finds the worker's own object, whose answer was lost"),
        ("store.create#3 crash-between", "an attempt ends after its manifest, and another takes over"),
        ("store.create#3 crash-between", "a complete version of an earlier attempt is published without Cryo"),
        ("store.create#2 stopped", "a stopped worker goes on after its lease"),
        ("store.create#2 lease-taken", "a lease is taken while its attempt runs"),
        ("dispatcher.heartbeat#1 unanswered", "a heartbeat fails, and a later one renews the lease"),
        ("dispatcher.heartbeat#1 terminated", "a draining worker finishes its attempt"),
        ("dispatcher.claim#1 terminated", "a draining worker hands its attempt back"),
        ("dispatcher.complete#1 unanswered", "a completion is sent again after it was accepted"),
        ("queue.receive#1 unanswered", "a wake-up is delivered again"),
    ],
)
def test_each_situation_is_recognised(fault: str, situation: str, clean: Run):
    """A fault leads to the situation, and a run without faults to none."""
    (plan,) = (plan for plan in single_faults(clean.operations) if str(plan[0]) == fault)
    assert situation in reached(simulate(ONE_TASK, worker, plan=plan).events)
    assert reached(clean.events) == set()


def test_replacements_are_recognised():
    """The leftovers of an earlier version are replaced under the condition that nobody else has."""
    found = reached(simulate(LEFTOVERS, worker).events)
    assert found >= {"an object is replaced with If-Match", "an incomplete manifest is replaced with If-Match"}


def test_two_workers_meet_in_every_order():
    """Some of the interleavings; `make simulate` runs all of them."""
    operations = [operation.name for operation in simulate(ONE_TASK, worker).operations]
    before_first_file = list(filter(is_counted, operations)).index("store.create")
    assert before_first_file in turns_of_first_worker(simulate(TWO_WORKERS, worker))
    campaign = explore(TWO_WORKERS, worker, interleavings(TWO_WORKERS, worker, before_first_file, seed=0))
    assert [(list(map(str, run.plan)), run.problems) for run in campaign.failed] == []
    assert campaign.situations >= {
        "a worker writes after another one has claimed its task",
        "a PUT finds the object of another worker",
    }


def test_a_switch_lets_one_worker_run_alone():
    """The first worker stops before its fourth operation, and the second one, which claims the task, goes on alone."""
    plan = (Switch(1, 3, takes_leases=True), Switch(2, 1000))
    run = simulate(TWO_WORKERS, worker, plan=plan)
    attempts = [who for who, operation in zip(run.senders, run.operations, strict=True) if is_counted(operation.name)]
    assert attempts[:3] == [1, 1, 1]
    assert set(attempts[3:10]) == {2}
    assert run.problems == ()


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
    campaign = explore(ONE_TASK, worker, list(pairs_after(ONE_TASK, worker, first, seed=0))[::7])
    assert [(list(map(str, run.plan)), run.problems) for run in campaign.failed] == []
    assert campaign.runs > 5


def test_generated_worlds_are_survived():
    """A sample: a world is made from its name, and others have other ranges, objects and tasks."""
    parts = generated_parts(TARGET, 6)
    assert find_scenario(parts[3].world).title == find_scenario(parts[3].world).title
    assert len({find_scenario(part.world).title for part in parts}) > 3
    for part in parts:
        campaign = run_part(replace(part, seeds=(0, 1)))
        assert campaign.runs == 3
        assert [(list(map(str, run.plan)), run.problems) for run in campaign.failed] == []


def test_a_campaign_that_is_stopped_keeps_its_results():
    """Parts that have not begun do not run."""
    stop = Event()
    stop.set()
    parts = [Part(TARGET, ONE_TASK.name, plans=((),)) for _ in range(20)]
    assert 1 <= run_all(parts, jobs=1, stop=stop, progress=lambda _: None).runs < 20


def test_a_random_plan_that_does_not_fit_the_run_is_no_gap():
    """Random faults may be for operations that never come; this leaves no single fault unexercised."""
    (part,) = seed_parts(TARGET, THREE_TASKS.name, 12)
    campaign = run_part(part)
    assert campaign.runs == 12
    assert campaign.unreached == []
    assert [(list(map(str, run.plan)), run.problems) for run in campaign.failed] == []

    never = PlannedFault(Operation("store.create", 99), "refused")
    unreached = run_part(Part(TARGET, ONE_TASK.name, plans=((never,),))).unreached
    assert unreached == [(ONE_TASK.name, (never,))]


def test_a_run_is_a_function_of_its_seed_and_plan():
    """Equal in other processes with other hashes, and different for another seed."""
    program = (
        "from harness.simulate.replay import find_scenario, find_target\n"
        "from harness.simulate.run import simulate\n"
        f"print(simulate(find_scenario('three-tasks'), find_target('{TARGET}'), seed=7).digest)\n"
    )
    digests = set()
    for seed in ("0", "1"):
        variables = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(TESTS)}
        result = subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True
        )
        digests.add(result.stdout)
    assert digests == {simulate(THREE_TASKS, worker, seed=7).digest + "\n"}
    assert simulate(THREE_TASKS, worker, seed=8).digest + "\n" not in digests


async def forgetful(bench: object) -> None:
    """Run the worker, but let it replace whatever is in the store."""
    from simulation import adapter  # noqa: PLC0415 - the class is changed for one run below

    class Overwriting(adapter.StorePort):
        async def create(self, key: str, body: Path | bytes, *, metadata: object) -> None:
            del metadata
            await adapter._available(self.bench.delete(key))
            await super().create(key, body, metadata={})

    await adapter.run_service(bench, Overwriting(bench))  # type: ignore[arg-type]


def test_a_planted_bug_is_found_and_shrunk():
    """A worker that deletes objects before it writes them breaks a clause; no fault is needed to show it."""
    plan = (
        PlannedFault(Operation("queue.receive", 1), "refused"),
        PlannedFault(Operation("store.list", 2), "slow"),
    )
    failed = simulate(ONE_TASK, forgetful, plan=plan, seed=5)
    assert failed.problems
    smallest = shrink(ONE_TASK, forgetful, failed)
    assert (smallest.plan, smallest.seed) == ((), 0)


def test_a_saved_run_is_read_as_it_was_written(tmp_path: Path):
    """Faults and switches alike."""
    plan = (PlannedFault(Operation("store.list", 2), "slow", lasting=True), Switch(1, 4, takes_leases=True))
    saved = Replay(TARGET, TWO_WORKERS.name, 3, plan)
    saved.save(tmp_path / "found.json")
    assert load(tmp_path / "found.json") == saved


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no JSON", "is not a saved run"),
        (json.dumps({"target": "x", "scenario": "y", "seed": 0}), "plan"),
        (json.dumps({"target": "x", "scenario": "y", "seed": 1.5, "plan": []}), "1.5 is not an integer from 0"),
        (json.dumps({"target": "x", "scenario": "y", "seed": 0, "plan": [], "more": 1}), "unknown fields: more"),
        (
            json.dumps(
                {
                    "target": "x",
                    "scenario": "y",
                    "seed": 0,
                    "plan": [{"operation": "a", "number": 1, "kind": "odd", "lasting": False}],
                }
            ),
            "'odd' is not one of refused",
        ),
    ],
    ids=["not JSON", "no plan", "no integer", "unknown field", "unknown kind"],
)
def test_a_bad_file_is_named(content: str, words: str, tmp_path: Path):
    """The message says what is wrong."""
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(BadReplay, match=words):
        load(tmp_path / "bad.json")


@pytest.mark.parametrize("name", ["nothing", "no.such:module", "json:nothing", "json:dumps"])
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
    assert simulate(ONE_TASK, worker, plan=plan).problems == ()


def test_a_scenario_that_can_not_be_simulated_is_refused():
    """The message names what it has, and a wrong name leads to the list of worlds."""
    with pytest.raises(BadReplay, match="it has delivery = 'run'"):
        find_scenario("one-block")
    with pytest.raises(BadReplay, match="the worlds are one-task, two-workers"):
        find_scenario("no such scenario")
    with pytest.raises(BadReplay, match=r"platform\.stray"):
        find_scenario("stray-messages")
    simulated = find_scenario("straight-service")
    assert (simulated.name, simulated.platform) == ("straight-service", ONE_TASK.platform)


def test_the_machine_does_not_change_a_run():
    """Neither another umask nor other variables that Cryo inherits, and no message has a real directory."""
    plan = (PlannedFault(Operation("cryo.file", 1), "cut-off", lasting=True),)
    before, umask = os.environ.pop("TZ", None), os.umask(0o077)
    try:
        os.environ["LC_ALL"] = "C"
        first = simulate(ONE_TASK, worker, plan=plan)
    finally:
        os.umask(umask)
        del os.environ["LC_ALL"]
        if before is not None:
            os.environ["TZ"] = before
    assert first.digest == simulate(ONE_TASK, worker, plan=plan).digest


async def ends_by_itself(bench: object) -> None:
    """End without a signal, as a service must not."""
    del bench


def test_a_worker_that_ends_without_a_signal_is_reported():
    """It is started again, as a platform would, but nothing asked it to end."""
    assert "worker 1 ended without a signal" in simulate(ONE_TASK, ends_by_itself).problems


REPLAYS = Path(__file__).parent / "replays"


@pytest.mark.parametrize("path", sorted(REPLAYS.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_found_does_not_come_back(path: Path):
    """Each saved run had a problem once (docs/simulation.md); now it has none, and its whole plan still applies."""
    saved = load(path)
    run = simulate(find_scenario(saved.scenario), find_target(saved.target), plan=saved.plan, seed=saved.seed)
    assert run.problems == ()
    assert [step for step in run.unfired if isinstance(step, PlannedFault)] == []


def test_cryo_need_not_run_again_if_its_fault_never_fires():
    """OUT-5 applies to a run in which Cryo fails; the third file never comes here."""
    run = simulate(ONE_TASK, worker, plan=(PlannedFault(Operation("cryo.file", 3), "refused"),))
    assert (run.problems, len(run.unfired)) == ((), 1)
