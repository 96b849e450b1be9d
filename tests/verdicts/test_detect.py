"""The checks catch what they are for: every bug of the reference worker, and workers that do not work at all."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.checks.verdict import Verdict, check_history, verdicts
from harness.kit.detect import caught_by, hurried, likeliest_first
from harness.reference.bugs import BUGS
from harness.resources import clause_ids
from harness.runner.run import run
from harness.scenario import Scenario, find
from harness.stores.backends import Backends
from harness.targets import Target

SCENARIOS = find()
JOBS = 8
CHEATERS = ("nothing", "success", "canned", "copies")
HURRIED_SECONDS = 8.0
"""A worker that does not work is not waited for as one that does."""


def test_every_clause_has_a_bug():
    """No clause is without one that its check is tried on."""
    assert {bug.clause for bug in BUGS} == set(clause_ids())


def test_every_bug_is_caught_by_its_own_clause(on_moto: Backends):
    """The clause that a bug was made for is broken in one of its scenarios; one test, as much of it is waiting."""
    with ThreadPoolExecutor(JOBS) as pool:
        caught = pool.map(lambda bug: caught_by(bug, SCENARIOS, on_moto), BUGS)
        missed = [bug.name for bug, scenario in zip(BUGS, caught, strict=True) if scenario is None]
    assert missed == []


@pytest.mark.parametrize("name", CHEATERS)
def test_who_does_no_work_passes_nothing(name: str, on_moto: Backends):
    """Neither silence nor any words of its own bring a worker a PASS; some clause fails by it."""
    adversarial_worker = Target(name, (sys.executable, "-m", "harness.reference.adversarial", name))
    chosen = {one.name: one for clause in clause_ids() for one in likeliest_first(SCENARIOS, clause)[:1]}
    given_up_soon = [hurried(one, HURRIED_SECONDS) for one in chosen.values()]

    def judged(scenario: Scenario) -> object:
        return check_history(run(scenario, adversarial_worker, on_moto))

    with ThreadPoolExecutor(JOBS) as pool:
        found = verdicts(pool.map(judged, given_up_soon))
    assert [clause for clause, verdict in found.items() if verdict is Verdict.PASS] == []
    assert Verdict.FAIL in found.values()
