"""How many calls a stream's tasks will send to the pool, by method: what a provider charges for.

The numbers are those of a run without failures through the gateway; each call of a batch counts. Not included is what
can't be known before: the receipts of suspected blocks at level `chain`, and second requests for calls that are
unusually slow (measured: 1% on average).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.datasets import find_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryo_ingest.levels import Level
    from cryo_ingest.sync.derived import Blocks

CHAIN_ID, BLOCK, LOGS, RECEIPTS = "eth_chainId", "eth_getBlockByNumber", "eth_getLogs", "eth_getBlockReceipts"

RANGE_OF_LOGS = frozenset(("logs", "erc20_transfers", "erc721_transfers"))
"""Datasets for which one `eth_getLogs` has several blocks (`TRACE_CRYO_LOG_RANGE`)."""


def calls_by_method(dataset: str, tasks: Iterable[Blocks], *, level: Level, log_range: int) -> dict[str, int]:
    """Return the number of calls of each method for a dataset's tasks, at a level of proof.

    Raises:
        BadPayload: Cryo has no such dataset.
    """
    facts = find_dataset(dataset)
    proved_at = facts.attainable(level)
    methods = set(facts.methods)
    if proved_at != "rows":
        methods.add(BLOCK)
    if proved_at == "receipts":
        methods.add(RECEIPTS)
    calls: Counter[str] = Counter()
    for start, end in tasks:
        for method in methods:
            calls[method] += _log_calls(start, end, log_range) if _has_range(dataset, method) else end - start
        # The endpoint's chain id, once for the choice and once by Cryo, and its last final block.
        calls += Counter({CHAIN_ID: 2, BLOCK: 1})
        # The proof asks whether the endpoint still serves the same chain.
        calls[CHAIN_ID] += proved_at != "rows"
    return dict(sorted(calls.items()))


def _has_range(dataset: str, method: str) -> bool:
    return method == LOGS and dataset in RANGE_OF_LOGS


def _log_calls(start: int, end: int, log_range: int) -> int:
    """Return the number of requests for logs: Cryo splits each file's blocks by itself."""
    sizes = [min(layout.CHUNK_BLOCKS, end - first) for first in range(start, end, layout.CHUNK_BLOCKS)]
    return sum(-(-size // log_range) for size in sizes)
