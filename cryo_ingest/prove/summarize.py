"""Chooses the summary for a file's dataset. Loads pyarrow, so it is imported late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryo_ingest.errors import ProofFailed
from cryo_ingest.prove import footer
from cryo_ingest.prove.log_summaries import LogsSummary, TransfersSummary
from cryo_ingest.prove.summaries import BlocksSummary, TracesSummary, TransactionsSummary

if TYPE_CHECKING:
    from pathlib import Path

    from cryo_ingest.layout import Chunk
    from cryo_ingest.prove.summaries import Summary

SUMMARIES: dict[str, Any] = {
    "blocks": BlocksSummary,
    "transactions": TransactionsSummary,
    "logs": LogsSummary,
    "erc20_transfers": TransfersSummary,
    "erc721_transfers": TransfersSummary,
    "traces": TracesSummary,
    "geth_calls": TracesSummary,
}


def summarize(path: Path, chunk: Chunk, *, dataset: str, digest: str) -> Summary:
    """Summarize a file that was proved by rows; `digest` selects the sampled blocks, the same ones in every attempt.

    Raises:
        ProofFailed: its rows can't be read.
    """
    try:
        summary: Summary = SUMMARIES[dataset](path, chunk, dataset=dataset, digest=digest)
    except footer.UNREADABLE as error:
        evidence = f"its rows can't be read ({footer.first_line(error)})"
        raise ProofFailed(file=path.name, evidence=evidence) from None
    return summary
