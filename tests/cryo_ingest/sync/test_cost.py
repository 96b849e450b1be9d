"""The numbers of calls of a plan are those that real Cryo 0.3.2 and the proof sent to the fake pool."""

import pytest

from cryo_ingest.levels import Level
from cryo_ingest.sync.cost import calls_by_method

TWO_THOUSAND = [
    ("address_appearances", "rows", {"eth_getBlockByNumber": 2001, "eth_getLogs": 2000, "trace_block": 2000}),
    ("balance_diffs", "chain", {"eth_getBlockByNumber": 2001, "trace_replayBlockTransactions": 2000}),
    ("balance_reads", "rows", {"eth_getBlockByNumber": 2001, "debug_traceBlockByNumber": 2000}),
    ("blocks", "rows", {"eth_getBlockByNumber": 2001}),
    ("blocks", "receipts", {"eth_getBlockByNumber": 2001}),
    ("contracts", "rows", {"eth_getBlockByNumber": 1, "trace_block": 2000}),
    ("erc20_transfers", "rows", {"eth_getBlockByNumber": 1, "eth_getLogs": 20}),
    ("geth_calls", "chain", {"eth_getBlockByNumber": 2001, "debug_traceBlockByNumber": 2000}),
    ("logs", "rows", {"eth_getBlockByNumber": 1, "eth_getLogs": 20}),
    ("logs", "chain", {"eth_getBlockByNumber": 2001, "eth_getLogs": 20}),
    ("logs", "receipts", {"eth_getBlockByNumber": 2001, "eth_getLogs": 20, "eth_getBlockReceipts": 2000}),
    ("traces", "rows", {"eth_getBlockByNumber": 1, "trace_block": 2000}),
    ("traces", "chain", {"eth_getBlockByNumber": 2001, "trace_block": 2000}),
    ("transactions", "rows", {"eth_getBlockByNumber": 2001, "eth_getBlockReceipts": 2000}),
    ("transactions", "receipts", {"eth_getBlockByNumber": 2001, "eth_getBlockReceipts": 2000}),
    ("vm_traces", "rows", {"eth_getBlockByNumber": 1, "trace_replayBlockTransactions": 2000}),
]
"""Measured on blocks 1000 to 2999 with `cryo-from-wheel`, less the second requests for slow calls."""


@pytest.mark.parametrize(("dataset", "level", "measured"), TWO_THOUSAND)
def test_the_calls_of_one_task_are_those_that_were_measured(dataset: str, level: Level, measured: dict[str, int]):
    """Each method that Cryo or the proof calls is there, with its number; `eth_chainId` is asked two or three times."""
    calls = calls_by_method(dataset, [(1000, 3000)], level=level, log_range=100)
    assert calls.pop("eth_chainId") in {2, 3}
    assert calls == measured


def test_the_calls_of_tasks_add_up():
    """Twice the tasks, twice the calls; a short file still needs a request for its logs."""
    once = calls_by_method("logs", [(0, 1001)], level="rows", log_range=100)
    twice = calls_by_method("logs", [(0, 1001), (2000, 3001)], level="rows", log_range=100)
    assert once["eth_getLogs"] == 11
    assert twice == {method: 2 * count for method, count in once.items()}
