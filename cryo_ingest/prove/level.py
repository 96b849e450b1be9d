"""Chooses the proof of an attempt: by rows alone, or by rows and then by the chain (RNG-4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryo_ingest.prove.chain import ChainProof
from cryo_ingest.prove.rows import RowsProof

if TYPE_CHECKING:
    from cryo_ingest.datasets import Dataset
    from cryo_ingest.model import Task
    from cryo_ingest.ports import Extraction, Proof
    from cryo_ingest.rpc.endpoint import Endpoint
    from cryo_ingest.settings import Settings


def make_proof(task: Task, dataset: Dataset, *, settings: Settings, endpoint: Endpoint) -> Proof:
    """Return the proof at the configured level, or at the highest one that the dataset allows."""
    rows = RowsProof(task, dataset, executable=settings.executable)
    level = dataset.attainable(settings.coverage)
    return rows if level == "rows" else ChainProof(rows, endpoint, level)


async def confirm_files(extraction: Extraction, *, proof: Proof) -> Extraction:
    """Prove a range's files at the configured level, one after another, after Cryo has ended.

    Raises:
        ProofFailed, NodeUnavailable, WrongChain: see `ports.Proof.confirm`.
    """
    files = [
        replace(file, proof=await proof.confirm(file.path, file.chunk, seen=file.proof)) for file in extraction.files
    ]
    return replace(extraction, files=tuple(files))
