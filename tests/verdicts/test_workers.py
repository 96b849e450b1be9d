"""Verdicts on whole workers, as anyone gets them: our own on moto and on MinIO, the reference worker on moto."""

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
    told = folder / "report.json"
    command = [BIN / "cryo-harness", "run", "--jobs", JOBS, "--report", told, *words]
    ended = subprocess.run(command, check=False, text=True, capture_output=True)
    report = json.loads(told.read_text())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert engine_problem() is not None or report["skipped"] == {}
    return {one["id"]: one["verdict"] for one in report["clauses"]}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.real_cryo
def test_our_worker_keeps_every_clause(store: str, tmp_path: Path):
    """On MinIO every clause is PASS; on moto all but the one that moto, which takes wrong checksums, can't show."""
    found = judged(tmp_path, "--store", store)
    assert len(found) == 62
    unknown = {"LAY-8": "INCONCLUSIVE"} if store == "moto" else {}
    assert {clause: verdict for clause, verdict in found.items() if verdict != "PASS"} == unknown


@pytest.mark.real_cryo
def test_the_reference_worker_keeps_every_clause(tmp_path: Path):
    """An independent worker of another make passes: the checks ask for the contract, not for our worker."""
    found = judged(tmp_path, "--target", "reference")
    assert {clause: verdict for clause, verdict in found.items() if verdict != "PASS"} == {"LAY-8": "INCONCLUSIVE"}
