"""Which generated scenarios a run chooses, and how it makes a failing one smaller."""

from datetime import UTC, datetime

import pytest

from harness.checks.evidence import Violation
from harness.checks.verdict import CheckResult
from harness.generated import row_of_name
from harness.generated.compose import usual_row
from harness.generated.cover import cover
from harness.kit.generated import chosen, coverage, seed_of_week, shrink, summary
from harness.report.result import ScenarioResult
from harness.scenario import BadScenario, Scenario, find


def result(scenario: Scenario, *, violates: str = "", if_title_has: tuple[str, ...] = ()) -> ScenarioResult:
    """Return the result of a scenario that breaks a clause if its title has all of some words."""
    is_broken = violates and all(word in scenario.title for word in if_title_has)
    violations = (Violation(violates, "this", "that"),) if is_broken else ()
    return ScenarioResult(CheckResult(scenario.name, violations, ("RNG-2",)), scenario.title, scenario.clauses)


def test_a_failing_row_keeps_only_what_the_violation_needs():
    """Each unusual value is left out in turn, and comes back if the violation is gone."""
    row = usual_row() | {"stored": "the first file", "cryo": "prints its URL", "caps": "files: at", "dataset": "logs"}
    needed = ("stored the first file", "cryo prints its URL")
    smallest = shrink(row, {"LAY-10"}, lambda each: result(each, violates="LAY-10", if_title_has=needed))
    assert set(smallest) == set(needed)


def test_another_violation_does_not_count():
    """A smaller row must fail for the same reason."""
    row = usual_row() | {"caps": "files: at"}
    assert shrink(row, {"LAY-10"}, lambda each: result(each, violates="PUB-1")) == ["caps files: at"]


def test_names_of_generated_scenarios_can_be_given():
    """Beside those of files, and with others by number."""
    found = chosen(["straight-run", "generated-3-5"], count=2, seed=9, about="")
    assert [scenario.name for scenario in found] == ["straight-run", "generated-3-5", "generated-9-0", "generated-9-1"]
    assert chosen([], count=0, seed=0, about="") == find()


@pytest.mark.parametrize(
    ("names", "count", "about", "words"),
    [
        ([], 3, "CAP-77", "no such clause"),
        ([], 0, "CAP-1", "add --generated N"),
        (["generated-x"], 0, "", "generated-SEED-NUMBER"),
    ],
)
def test_mistakes_are_named(names: list[str], count: int, about: str, words: str):
    """Each message says what to write."""
    with pytest.raises(BadScenario, match=words):
        chosen(names, count=count, seed=0, about=about)


def test_the_summary_counts_values_pairs_and_clauses():
    """Without generated scenarios there is none."""
    (scenario,) = chosen(["generated-3-5"], count=0, seed=0, about="")
    line = summary([result(scenario)])
    assert line.startswith(f"1 generated scenarios: {len(row_of_name(scenario.name))} of ")
    assert f"{len(usual_row())} pairs of a value and a clause" in line
    assert summary([]) == ""


def test_the_coverage_says_what_came_together():
    """A pair is covered, uncovered or impossible."""
    (scenario,) = chosen(["generated-3-5"], count=0, seed=0, about="")
    found = coverage([result(scenario)])
    for name, value in row_of_name(scenario.name).items():
        assert found["values"][name][value] == {"scenarios": 1, "clauses": ["RNG-2"]}
    assert len(found["uncovered"]) == len(cover().covered) - len(usual_row()) * (len(usual_row()) - 1) // 2
    assert len(found["impossible"]) == len(cover().impossible)


def test_the_seed_is_another_one_each_week():
    """So a share of the scenarios rotates."""
    assert seed_of_week(datetime(2026, 11, 28, tzinfo=UTC)) == 202648
