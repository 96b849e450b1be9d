"""Chooses how an attempt proves its files: by their rows alone, or by rows and then with a node (RNG-4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryo_ingest.prove.chain import ChainProver
from cryo_ingest.prove.rows import RowsProver

if TYPE_CHECKING:
    from cryo_ingest.datasets import Dataset
    from cryo_ingest.model import Task
    from cryo_ingest.ports import Extraction, Prover
    from cryo_ingest.rpc.evidence import Evidence
    from cryo_ingest.rpc.pool import Pool
    from cryo_ingest.settings import Settings


def make_prover(
    task: Task, dataset: Dataset, *, settings: Settings, endpoint: Pool, evidence: Evidence | None = None
) -> Prover:
    """Return the prover for the configured level, or for the highest one that the dataset allows.

    `evidence` has the answers that passed through the gateway.
    """
    rows = RowsProver(task, dataset, executable=settings.executable)
    level = dataset.attainable(settings.proof_level)
    return rows if level == "rows" else ChainProver(rows, endpoint, level, evidence)


async def confirm_files_with_node(extraction: Extraction, *, prover: Prover) -> Extraction:
    """Prove a range's files at the configured level, one after another, after Cryo has ended.

    Raises:
        ProofFailed, NodeUnavailable, WrongChain: see `ports.Prover.confirm_with_node`.
    """
    files = [
        replace(file, proof=await prover.confirm_with_node(file.path, file.chunk, rows_proof=file.proof))
        for file in extraction.files
    ]
    return replace(extraction, files=tuple(files))
