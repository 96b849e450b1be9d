"""The checks catch every bug of the reference worker, and workers that do no work."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.checks.verdict import Verdict, check_history, verdicts
from harness.kit.detect import caught_by, fastest_first, with_time_limit
from harness.reference.bugs import BUGS
from harness.resources import clause_ids
from harness.runner.run import run
from harness.scenario import Scenario, find
from harness.stores.backends import Backends
from harness.targets import Target

SCENARIOS = find()
JOBS = 4
ADVERSARIES = ("nothing", "success", "canned", "copies")
LIMIT_SECONDS = 8.0
"""The time limit per scenario for a worker that does no work."""


def test_every_clause_has_a_bug():
    """Every clause has a bug of the reference worker that breaks it."""
    assert {bug.clause for bug in BUGS} == set(clause_ids())


@pytest.mark.long
def test_every_bug_is_caught_by_its_own_clause(on_moto: Backends):
    """The checks report a bug's clause in one of its scenarios; all bugs run in one test, since they mostly wait."""
    with ThreadPoolExecutor(JOBS) as pool:
        caught = pool.map(lambda bug: caught_by(bug, SCENARIOS, on_moto), BUGS)
        missed = [bug.name for bug, scenario in zip(BUGS, caught, strict=True) if scenario is None]
    assert missed == []


@pytest.mark.parametrize("name", ADVERSARIES)
def test_a_worker_that_does_no_work_passes_no_clause(name: str, on_moto: Backends):
    """Such a worker gets no PASS, whatever it reports, and at least one FAIL."""
    adversarial_worker = Target(name, (sys.executable, "-m", "harness.reference.adversarial", name))
    chosen = {scenario.name: scenario for clause in clause_ids() for scenario in fastest_first(SCENARIOS, clause)[:1]}
    limited = [with_time_limit(scenario, LIMIT_SECONDS) for scenario in chosen.values()]

    def judged(scenario: Scenario) -> object:
        return check_history(run(scenario, adversarial_worker, on_moto))

    with ThreadPoolExecutor(JOBS) as pool:
        found = verdicts(pool.map(judged, limited))
    assert [clause for clause, verdict in found.items() if verdict is Verdict.PASS] == []
    assert Verdict.FAIL in found.values()
