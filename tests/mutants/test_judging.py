"""A mutant of our worker is planted in a process of its own, and simulated runs report it."""

import subprocess
import sys
from pathlib import Path

from mutation.population import OURS, all_mutants
from mutation.simulated import Planned, pool, search

SCRIPT = Path(__file__).parents[2] / "scripts" / "mutants.py"


def test_a_mutant_is_killed_by_a_simulated_run():
    """STG-3: the run without faults reports a worker that never deletes its staging directory."""
    discard = "await self.ports.staging.discard("
    killed = next(
        mutant
        for mutant in all_mutants(OURS, "cryo_ingest.serve.attempt_runner")
        if mutant.operator == "dropped" and discard in mutant.diff(source_of(mutant.module))
    )
    plans = [Planned("one-task", (), 0)]
    with pool(1) as processes:
        found = processes.submit(search, killed, plans).result()
    assert any(problem.startswith("STG-3") for problem in found.problems)
    assert found.runs == 1


def source_of(module: str) -> str:
    """Return the source of a module."""
    return (Path(__file__).parents[2] / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")


def test_a_mutant_is_listed_by_its_name_with_its_diff():
    """`--list` prints the mutant that `--name` selects, and runs nothing."""
    mutant = all_mutants(OURS, "cryo_ingest.caps")[0]
    command = [sys.executable, str(SCRIPT), "--worker", OURS, "--name", mutant.name, "--list"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{mutant.name}\n@@ ")


def test_a_name_that_no_mutant_has_is_a_usage_error():
    """The message has the name."""
    command = [sys.executable, str(SCRIPT), "--name", "nothing", "--list"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 64
    assert "nothing" in result.stderr
