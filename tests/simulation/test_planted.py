"""Planted bugs: their patches fit our worker, and the simulation finds them."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from harness.simulate.replay import BadReplay, find_target
from harness.simulate.run import simulate
from simulation.planted import rare
from simulation.planted.loader import plant
from simulation.planted.search import random_plans
from simulation.planted.table import BadPatch, Bug, Edit, all_bugs, source_of

SCRIPT = Path(__file__).parents[2] / "scripts" / "planted.py"
SAMPLE = (
    "manifest-first",
    "rows-are-not-checked",
    "never-acknowledges",
    "heartbeat-of-the-first-attempt",
    "412-is-fatal",
    "412-is-a-failure",
    "replaces-what-is-stored",
)


@pytest.mark.parametrize("bug", all_bugs().values(), ids=lambda bug: bug.name)
def test_every_patch_fits_the_worker(bug: Bug):
    """Each old text is in its module exactly once, and the patched module is Python."""
    sources: dict[str, str] = {}
    for edit in bug.edits:
        sources[edit.module] = edit.apply(sources.get(edit.module) or source_of(edit.module))
    for module, source in sources.items():
        compile(source, module, "exec")
    assert bug.does.endswith(".")


def test_there_are_enough_bugs():
    """A table that shrinks by accident is noticed."""
    assert len(all_bugs()) >= 80


@pytest.mark.parametrize("source", ["nothing of it", "old old"])
def test_a_patch_that_does_not_fit_is_named(source: str):
    """The message has the module and says how often the text was found."""
    with pytest.raises(BadPatch, match=r"some\.module has the old text [02] times"):
        Edit("some.module", "old", "new").apply(source)


def test_an_unknown_bug_is_named():
    """The message says where the bugs are."""
    with pytest.raises(BadPatch, match="no planted bug 'nothing'"):
        plant("nothing")


def test_no_bug_is_planted_into_a_worker_that_is_imported_already():
    """The worker of this process stays correct."""
    with pytest.raises(BadReplay, match="imported already"):
        find_target("simulation.planted.target:never-acknowledges")


def test_a_sample_of_bugs_is_found():
    """The script finds each of them, by its clause or by its effects, with at most two faults."""
    command = [sys.executable, str(SCRIPT), "--runs", "400", *SAMPLE]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(SAMPLE)} of {len(SAMPLE)} bugs found" in result.stdout
    assert f"{len(SAMPLE)} of {len(SAMPLE)} shrunk to at most 2 faults" in result.stdout


def test_the_script_names_a_bug_that_does_not_exist():
    """The exit code is that of a usage error of argparse."""
    result = subprocess.run([sys.executable, str(SCRIPT), "nothing"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "unknown planted bug: nothing" in result.stderr


def test_a_violation_in_one_seed_out_of_a_hundred_is_always_reported():
    """A campaign over the seeds 0 to 199 reports both seeds at which a bug is active, and no other one."""
    plans = islice(random_plans(rare.worker), 200)
    failed = {seed for scenario, plan, seed in plans if simulate(scenario, rare.worker, plan=plan, seed=seed).problems}
    assert failed == {0, 100}
