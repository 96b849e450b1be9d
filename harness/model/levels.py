"""At which level a node can prove a dataset: RNG-4."""

from __future__ import annotations

from typing import Any, Literal

Level = Literal["rows", "chain", "receipts"]
BY_CHAIN = ("blocks", "transactions", "logs", "erc20_transfers", "erc721_transfers", "traces", "geth_calls")
"""The datasets for which level `chain` compares rows with a node's answers; the others have rows alone."""
BY_RECEIPTS = ("transactions", "logs", "erc20_transfers", "erc721_transfers")
"""Those of which receipts say something: gas used, success and logs."""


def evidence_of(dataset: Any, level: Level) -> Level:
    """Return the level that must be recorded if `level` is asked for."""
    if level == "receipts" and dataset not in BY_RECEIPTS:
        level = "chain"
    return level if level != "chain" or dataset in BY_CHAIN else "rows"
