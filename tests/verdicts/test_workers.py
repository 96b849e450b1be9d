"""Verdicts of the command on complete workers: our own on moto and on MinIO, the reference worker on moto."""

import json
import subprocess
from pathlib import Path

import pytest
from support.worker import BIN

from harness.containers.engine import engine_problem

STORES = ["moto", pytest.param("minio", marks=pytest.mark.docker)]
JOBS = "4"


def judged(folder: Path, *words: str) -> dict[str, str]:
    """Run all scenarios and return the verdict of each clause."""
    path = folder / "report.json"
    command = [BIN / "cryo-harness", "run", "--jobs", JOBS, "--report", path, *words]
    ended = subprocess.run(command, check=False, text=True, capture_output=True)
    report = json.loads(path.read_text())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert engine_problem() is not None or report["skipped"] == {}
    return {clause["id"]: clause["verdict"] for clause in report["clauses"]}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.real_cryo
def test_our_worker_keeps_every_clause(store: str, tmp_path: Path):
    """On MinIO every clause is PASS; on moto LAY-8 is inconclusive, since moto accepts wrong checksums."""
    found = judged(tmp_path, "--store", store)
    assert len(found) == 62
    inconclusive = {"LAY-8": "INCONCLUSIVE"} if store == "moto" else {}
    assert {clause: verdict for clause, verdict in found.items() if verdict != "PASS"} == inconclusive


@pytest.mark.real_cryo
def test_the_reference_worker_keeps_every_clause(tmp_path: Path):
    """An independent worker passes, so the checks require the contract and not our implementation."""
    found = judged(tmp_path, "--target", "reference")
    assert {clause: verdict for clause, verdict in found.items() if verdict != "PASS"} == {"LAY-8": "INCONCLUSIVE"}
