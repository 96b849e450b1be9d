"""Which scenarios a profile runs, and which clauses it requires."""

import json
import shlex
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
from harness.scenario.expectations import CHANGE_NO_OUTCOME
from harness.targets import REFERENCE, find

SCENARIOS = find_scenarios()
REFERENCE_WORKER = find(REFERENCE)
COMMAND = 'version = 1\nname = "one"\ncommand = ["true"]\nrun = ["run"]\ndelivery = "payload-stdin"\n'


def test_hardened_has_all_clauses_and_core_those_of_the_platform():
    """The profiles have the clauses that the contract gives them."""
    assert clauses_of("hardened") == clause_ids()
    assert {clauses()[clause]["source"] for clause in clauses_of("core")} == {"S", "W"}


def test_every_clause_of_a_profile_has_a_scenario():
    """Every clause that a profile requires is exercised."""
    for profile in ("core", "hardened"):
        planned = plan(REFERENCE_WORKER, profile, SCENARIOS)
        named = {clause for scenario in planned.scenarios for clause in scenario.clauses}
        assert named == set(planned.clauses)


def test_core_has_no_faults_that_only_hardened_requires_to_survive():
    """A scenario with faults is not in a profile if it exercises clauses outside the profile."""
    complete = {scenario.name: scenario for scenario in SCENARIOS}
    for scenario in plan(REFERENCE_WORKER, "core", SCENARIOS).scenarios:
        about_more = set(complete[scenario.name].clauses) - set(clauses_of("core")) - CHANGE_NO_OUTCOME
        assert not (
            about_more
            and (scenario.cryo_faults or scenario.store_faults or scenario.triggers or scenario.preloaded_objects)
        ), scenario.name


def test_an_excluded_clause_is_ignored():
    """Scenarios do not name it, its violations are dropped, and the reason is kept."""
    target = replace(REFERENCE_WORKER, cannot={"LAY-3": "another manifest"})
    planned = plan(target, "core", SCENARIOS)
    assert planned.excluded == {"LAY-3": "another manifest"}
    assert not any("LAY-3" in scenario.clauses for scenario in planned.scenarios)
    broken = tuple(Violation(clause, "a", "b") for clause in ("LAY-3", "LAY-1", "LAY-6"))
    judged = planned.without_excluded(ScenarioResult(CheckResult("s", broken), "t", ("LAY-1", "LAY-3")))
    assert [violation.clause for violation in judged.violations] == ["LAY-1"]


def test_a_scenario_of_another_profile_is_reported_as_skipped():
    """If it is named with another scenario, it is skipped, and the headline says so."""
    named = [scenario for scenario in SCENARIOS if scenario.name in {"lease-lost", "straight-run"}]
    skipped = plan(REFERENCE_WORKER, "core", named).skipped_of(named)
    assert skipped == {"lease-lost": "exercises STG-5, LSE-3, which this profile or target does not require"}
    passed = ScenarioResult(CheckResult("straight-run", passed=("LAY-3",)), "t", ("LAY-3",))
    result = RunResult("t", "moto", ("LAY-3",), (passed,), skipped=skipped)
    assert result.headline == "keeps the clause; 1 scenario skipped"
    assert "skipped       lease-lost: exercises STG-5" in text.render(result)
    assert "- skipped: lease-lost: exercises STG-5" in summary.render(result)


@pytest.mark.parametrize("command", ["conformance", "run"])
def test_a_run_without_scenarios_is_an_error(command: str, tmp_path: Path):
    """A report without scenarios would look like a pass."""
    path = tmp_path / "target.toml"
    path.write_text(COMMAND)
    found = CliRunner().invoke(app, [command, "stray-messages", "--target", str(path)])
    assert found.exit_code == 64
    assert "nothing to run: stray-messages: needs a worker that reads wake-ups" in found.output


def test_a_scenario_outside_the_profile_does_not_run():
    """If only a scenario outside the profile is named, the command says so."""
    found = CliRunner().invoke(app, ["conformance", "lease-lost", "--target", REFERENCE, "--profile", "core"])
    assert found.exit_code == 64
    assert "nothing to run: lease-lost: exercises STG-5, LSE-3" in found.output


def test_clauses_prints_a_clause_with_its_scenarios_and_bugs():
    """The text, who requires it, the profiles, scenarios and bugs are all that an implementer needs."""
    found = CliRunner().invoke(app, ["clauses", "lay-3"])
    assert found.exit_code == 0
    for expected in (clauses()["LAY-3"]["text"], "the specification", "straight-run", "manifest-of-bare-names"):
        assert expected in found.output
    (fact,) = json.loads(CliRunner().invoke(app, ["clauses", "LAY-3", "--json"]).output)
    assert (fact["source"], fact["profiles"]) == ("S", ["core", "hardened"])


def test_clauses_of_a_group_and_a_profile_are_listed_with_the_meaning_of_the_letters():
    """One line for each clause, and the letters are explained."""
    all_clauses = CliRunner().invoke(app, ["clauses"]).output
    assert all(f"  {clause} " in all_clauses for clause in clause_ids())
    assert "S required by the specification; W required by the platform; + added by this project" in all_clauses
    core = CliRunner().invoke(app, ["clauses", "OUT", "LSE", "CAP", "--profile", "core"]).output
    assert "OUT-2" in core
    assert "OUT-6" not in core
    assert CliRunner().invoke(app, ["clauses", "OUT-66"]).exit_code != 0


def test_the_command_to_run_a_scenario_again_keeps_the_profile(tmp_path: Path):
    """After `conformance --profile core` the printed command judges core, and so does `run --profile core`."""
    report = tmp_path / "report.json"
    words = ["conformance", "unknown-mode", "--target", REFERENCE, "--profile", "core", "--report", str(report)]
    assert CliRunner().invoke(app, words).exit_code == 0
    (scenario,) = json.loads(report.read_text())["scenarios"]
    assert "--profile core" in scenario["replay"]
    assert list(scenario["clauses"]) == ["MOD-1"]
    assert CliRunner().invoke(app, [*shlex.split(scenario["replay"])[1:], "--report", str(report)]).exit_code == 0
    (again,) = json.loads(report.read_text())["scenarios"]
    assert (again["clauses"], again["replay"]) == (scenario["clauses"], scenario["replay"])
