"""Names of JSON-RPC methods: which ones only read, and under which keys tables and metrics count them.

The client of a standalone gateway can invent names, so a table with a key for each name would grow without a limit.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from cryo_ingest.datasets import all_datasets

READ_PREFIXES = ("eth_get", "trace_", "debug_trace", "net_version", "web3_clientVersion", "harness_")
"""`harness_*` are the fake node's own methods; a real node does not have them."""

READ_METHODS = frozenset(
    ("eth_blockNumber", "eth_call", "eth_chainId", "eth_feeHistory", "eth_gasPrice", "eth_syncing")
)
NOT_READ_METHODS = frozenset(("eth_getWork", "eth_getFilterChanges", "eth_getFilterLogs"))
OWN_METHODS = frozenset(("eth_getBlockByHash", "eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getLogs"))
"""Methods of the worker's own requests; those of Cryo are in `datasets.json`."""

OTHER = "other"
"""The key that all unknown methods share."""

MAX_REMEMBERED = 64
"""Entries of a table in which unknown methods keep their names."""

Value = TypeVar("Value")


def is_read_method(method: str) -> bool:
    """Return whether a method only reads; others (transactions, filters, administration) are refused."""
    return method in READ_METHODS or (method.startswith(READ_PREFIXES) and method not in NOT_READ_METHODS)


@cache
def known_methods() -> frozenset[str]:
    """Return the methods that have a key of their own: those of Cryo and of the worker itself."""
    of_cryo = {method for dataset in all_datasets().values() for method in dataset.methods}
    return READ_METHODS | OWN_METHODS | of_cryo


def key_of(method: str) -> str:
    """Return the key of a method in tables that have one entry for each method."""
    return method if method in known_methods() else OTHER


def remember(table: dict[str, Value], method: str, value: Value) -> None:
    """Set the entry of a method, and forget the oldest one if there are too many."""
    table[method] = value
    if len(table) > MAX_REMEMBERED:
        del table[next(iter(table))]
