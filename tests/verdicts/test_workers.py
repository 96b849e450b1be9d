"""Verdicts on whole workers from the command line: our own on MinIO and moto, the reference worker on moto."""

import json
import subprocess
from pathlib import Path

import pytest
from support.worker import BIN

from harness.containers.engine import engine_problem
from harness.resources import clause_ids

JOBS = "3"


def verdicts_of(folder: Path, *words: str) -> dict[str, str]:
    """Run all scenarios and return the verdict of each clause."""
    path = folder / "report.json"
    command = [BIN / "cryo-harness", "run", "--jobs", JOBS, "--report", path, *words]
    ended = subprocess.run(command, check=False, text=True, capture_output=True)
    report = json.loads(path.read_text())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert engine_problem() is not None or report["skipped"] == {}
    return {clause["id"]: clause["verdict"] for clause in report["clauses"]}


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.real_cryo
def test_our_worker_keeps_every_clause_on_minio(tmp_path: Path):
    """Every scenario runs, and every clause is PASS."""
    found = verdicts_of(tmp_path, "--store", "minio")
    assert len(found) == len(clause_ids())
    assert {clause: verdict for clause, verdict in found.items() if verdict != "PASS"} == {}


@pytest.mark.real_cryo
def test_on_moto_only_the_check_of_digests_is_inconclusive(tmp_path: Path):
    """LAY-8 can't be tested on moto, which accepts wrong checksums.

    The scenarios of LAY-8 are enough where MinIO runs all of them; without a Docker engine all run here.
    """
    words = [] if engine_problem() is not None else ["LAY-8"]
    found = verdicts_of(tmp_path, *words)
    assert {clause: verdict for clause, verdict in found.items() if verdict != "PASS"} == {"LAY-8": "INCONCLUSIVE"}


@pytest.mark.long
@pytest.mark.real_cryo
def test_the_reference_worker_keeps_every_clause(tmp_path: Path):
    """An independent worker passes, so the checks test the contract and not our worker."""
    found = verdicts_of(tmp_path, "--target", "reference")
    assert {clause: verdict for clause, verdict in found.items() if verdict != "PASS"} == {"LAY-8": "INCONCLUSIVE"}
