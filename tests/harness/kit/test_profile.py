"""Which scenarios make a profile, and what counts in them."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.checks.evidence import Violation
from harness.checks.verdict import CheckResult
from harness.cli import app
from harness.kit.profile import clauses_of, plan
from harness.report import summary, text
from harness.report.result import RunResult, ScenarioResult
from harness.resources import clause_ids, clauses
from harness.scenario import find as find_scenarios
from harness.targets import REFERENCE, find

SCENARIOS = find_scenarios()
REFERENCE_WORKER = find(REFERENCE)
COMMAND = 'version = 1\nname = "one"\ncommand = ["true"]\nrun = ["run"]\ndelivery = "payload-stdin"\n'


def test_hardened_is_all_and_core_is_what_the_platform_asks_for():
    """The contract's own words on profiles."""
    assert clauses_of("hardened") == clause_ids()
    assert {clauses()[one]["source"] for one in clauses_of("core")} == {"S", "W"}


def test_every_clause_of_a_profile_has_a_scenario():
    """No profile asks for what it does not try; a service alone and a command alone get fewer."""
    for profile in ("core", "hardened"):
        planned = plan(REFERENCE_WORKER, profile, SCENARIOS)
        named = {clause for one in planned.scenarios for clause in one.clauses}
        assert named == set(planned.asked)


def test_nothing_is_thrown_at_core_that_only_hardened_withstands():
    """A scenario with a fault that is about more than the profile is not in it."""
    whole = {one.name: one for one in SCENARIOS}
    for one in plan(REFERENCE_WORKER, "core", SCENARIOS).scenarios:
        about_more = set(whole[one.name].clauses) - set(clauses_of("core"))
        assert not (about_more and (one.cryo_faults or one.store_faults or one.triggers or one.preloaded_objects)), (
            one.name
        )


def test_what_is_left_out_does_not_count():
    """Neither the clause in a scenario, nor its violations; the reason is kept."""
    target = replace(REFERENCE_WORKER, cannot={"LAY-3": "another manifest"})
    planned = plan(target, "core", SCENARIOS)
    assert planned.excluded == {"LAY-3": "another manifest"}
    assert not any("LAY-3" in one.clauses for one in planned.scenarios)
    broken = tuple(Violation(clause, "a", "b") for clause in ("LAY-3", "LAY-1", "LAY-6"))
    counted = planned.counted(ScenarioResult(CheckResult("s", broken), "t", ("LAY-1", "LAY-3")))
    assert [one.clause for one in counted.violations] == ["LAY-1"]


def test_a_scenario_of_another_profile_is_told_not_passed():
    """Named on its own there is nothing to run; named with another it is skipped, and the headline says so."""
    named = [one for one in SCENARIOS if one.name in {"lease-lost", "straight-run"}]
    left_out = plan(REFERENCE_WORKER, "core", named).left_out(named)
    assert left_out == {"lease-lost": "about STG-5, LSE-3, which this profile and target leave out"}
    passed = ScenarioResult(CheckResult("straight-run", passed=("LAY-3",)), "t", ("LAY-3",))
    result = RunResult("t", "moto", ("LAY-3",), (passed,), skipped=left_out)
    assert result.headline == "keeps the clause; 1 scenario skipped"
    assert "skipped       lease-lost: about STG-5" in text.render(result)
    assert "- skipped: lease-lost: about STG-5" in summary.render(result)


@pytest.mark.parametrize("command", ["conformance", "run"])
def test_nothing_to_run_is_no_pass(command: str, tmp_path: Path):
    """A report of no scenario would read as one of a good worker."""
    path = tmp_path / "target.toml"
    path.write_text(COMMAND)
    found = CliRunner().invoke(app, [command, "stray-messages", "--target", str(path)])
    assert found.exit_code == 64
    assert "nothing to run: stray-messages: needs a worker that takes wake-ups" in found.output


def test_a_scenario_that_a_profile_does_not_hold_is_not_run_for_it():
    """Core has no lease that is lost: asked for that alone, the command says so."""
    found = CliRunner().invoke(app, ["conformance", "lease-lost", "--target", REFERENCE, "--profile", "core"])
    assert found.exit_code == 64
    assert "nothing to run: lease-lost: about STG-5, LSE-3" in found.output
