"""Verdicts on the Go worker, as anyone gets them of a worker in any language: whole, and with each of its bugs."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from foreign.build import HERE, bugs
from support.worker import BIN

SHOWN_BY = {
    "manifest-before-the-last-file": ("straight-run", "LAY-3"),
    "range-end-is-decremented": ("straight-run", "RNG-1"),
    "limited-node-is-fatal": ("cryo-exit-1-no-file", "OUT-2"),
}
"""The scenario and the clause that tell of each bug."""


def judged(folder: Path, *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Run the harness and return its exit code and report."""
    told = folder / "report.json"
    ended = subprocess.run(
        [BIN / "cryo-harness", *words, "--report", told], check=False, text=True, capture_output=True
    )
    assert told.exists(), ended.stdout + ended.stderr
    return ended.returncode, json.loads(told.read_text())


@pytest.mark.long
@pytest.mark.real_cryo
def test_the_foreign_worker_keeps_core(foreign_worker: Path, tmp_path: Path):
    """Every clause of profile core is shown to be kept, by a worker that shares nothing with ours."""
    assert foreign_worker
    words = ["--target", HERE / "target.toml", "--profile", "core", "--jobs", "2"]
    code, report = judged(tmp_path, "conformance", *words)
    assert {one["id"]: one["verdict"] for one in report["clauses"] if one["verdict"] != "PASS"} == {}
    assert code == 0


@pytest.mark.parametrize("bug", bugs())
def test_the_report_tells_of_each_bug(bug: str, foreign_worker: Path, tmp_path: Path):
    """A broken copy fails the clause that its bug breaks."""
    assert foreign_worker
    scenario, clause = SHOWN_BY[bug]
    code, report = judged(tmp_path, "run", scenario, "--target", HERE / "bugs" / f"{bug}.toml")
    assert clause in {one["id"] for one in report["clauses"] if one["verdict"] == "FAIL"}
    assert code == 1


LISTED = "OUT-2/cryo-exit-1-no-file # fatal_error"


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        (LISTED, 0, ""),
        ("OUT-2/cryo-exit-1-no-file # success", 1, f"is listed with another message; the line must be: {LISTED}"),
    ],
    ids=["as listed", "another message"],
)
def test_known_failures_are_held_to_their_list(lines: str, code: int, said: str, foreign_worker: Path, tmp_path: Path):
    """The command from end to end, on the copy whose failed Cryo is fatal: what comes as listed is let go."""
    assert foreign_worker
    (tmp_path / "known.txt").write_text(lines)
    target = HERE / "bugs" / "limited-node-is-fatal.toml"
    words = ["cryo-exit-1-no-file", "straight-run", "--target", target, "--profile", "core"]
    ended, report = judged(tmp_path, "conformance", *words, "--known", tmp_path / "known.txt")
    assert ended == code
    assert said in "\n".join(report["complaints"])
    assert report["complaints"] or not said


def test_the_adapter_has_fifty_lines_at_most():
    """Whoever has a worker of their own writes no more than this."""
    assert len((HERE / "target.toml").read_text().splitlines()) <= 50
