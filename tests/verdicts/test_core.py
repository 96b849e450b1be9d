"""Profile core requires nothing of the clauses that only profile hardened has."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.worker import BIN

from harness.kit.profile import ADDED
from harness.reference.bugs import BUG_VARIABLE, BUGS
from harness.resources import clauses

BREAK_CORE_TOO = {"manifest-tells-the-host": "LAY-4", "failed-proof-is-fatal": "OUT-2"}
"""Bugs of added clauses that violate a clause of core as well."""
SEPARATE = ("manifest-is-late", "manifest-is-a-stub")
"""Bugs that can't be combined with others: with these the worker writes the manifest after it has published."""
TOGETHER = tuple(
    bug.name
    for bug in BUGS
    if clauses()[bug.clause]["source"] == ADDED and bug.name not in {*BREAK_CORE_TOO, *SEPARATE}
)


@pytest.mark.long
@pytest.mark.parametrize("bugs", [TOGETHER, *((name,) for name in SEPARATE)], ids=["together", *SEPARATE])
def test_a_worker_that_meets_only_core_passes_core(bugs: tuple[str, ...], tmp_path: Path):
    """A worker that violates the clauses of hardened that core does not have gets PASS on each clause of core."""
    target, report = tmp_path / "core-only.toml", tmp_path / "report.json"
    target.write_text(
        f"version = 1\ncommand = {json.dumps([sys.executable, '-m', 'harness.reference'])}\n"
        f"[set]\n{BUG_VARIABLE} = {json.dumps(','.join(bugs))}\n"
    )
    command = [BIN / "cryo-harness", "conformance", "--target", target, "--profile", "core", "--jobs", "4"]
    ended = subprocess.run([*command, "--report", report], check=False, text=True, capture_output=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {clause["verdict"] for clause in json.loads(report.read_text())["clauses"]} == {"PASS"}
