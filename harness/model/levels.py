"""At which level a node can prove a dataset: RNG-4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.contract import CHAIN_LEVEL_DATASETS

if TYPE_CHECKING:
    from harness.contract import Level

BY_RECEIPTS = ("transactions", "logs", "erc20_transfers", "erc721_transfers")
"""The datasets of which receipts say something: gas used, success and logs."""


def evidence_of(dataset: Any, level: Level) -> Level:
    """Return the level that must be recorded if `level` is asked for."""
    if level == "receipts" and dataset not in BY_RECEIPTS:
        level = "chain"
    return level if level != "chain" or dataset in CHAIN_LEVEL_DATASETS else "rows"
