"""The dataset `address_appearances`: every role in which an address appears, sorted by hash, address and role.

A bug of Cryo 0.3.2 is reproduced: the role `…_from_to` of a token transfer has the sender instead of the recipient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.parity_traces import Trace, traces
from harness.world.programs.base import TRANSFER_EVENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain
    from harness.world.values import Log

FIELDS = ("block_number", "transaction_hash", "address", "relationship")
_TRANSFER_TOPICS, _ERC721_TOPICS = 3, 4


def rows(chain: Chain, number: int) -> list[tuple[object, ...]]:
    """Return a block's appearances in the order of Cryo's sort."""
    author = chain.header(number).author
    logs: dict[bytes, list[Log]] = {}
    for placed in chain.logs(number):
        logs.setdefault(placed.transaction.hash, []).append(placed.log)
    appearances: list[tuple[bytes, bytes, str]] = []
    for trace in traces(chain, number):
        if trace.transaction is None or trace.frame is None:
            continue
        transaction_hash = trace.transaction.hash
        if not trace.trace_address:
            appearances.append((transaction_hash, author, "miner_fee"))
            appearances += [
                (transaction_hash, *pair) for log in logs.get(transaction_hash, ()) for pair in _parties(log)
            ]
            appearances += [(transaction_hash, address, f"tx_{end}") for address, end in _ends(trace)]
        appearances += [(transaction_hash, *pair) for pair in _roles(trace)]
    return [(number, *appearance) for appearance in sorted(appearances)]


def _parties(log: Log) -> Iterator[tuple[bytes, str]]:
    if len(log.topics) < _TRANSFER_TOPICS or log.topics[0] != TRANSFER_EVENT:
        return
    if log.data or len(log.topics) == _ERC721_TOPICS:
        name = "erc20_transfer" if log.data else "erc721_transfer"
        yield log.topics[1][12:], f"{name}_from"
        yield log.topics[1][12:], f"{name}_from_to"


def _ends(trace: Trace) -> Iterator[tuple[bytes, str]]:
    """Yield the transaction's sender and recipient; the recipient of a creation is the new contract."""
    frame = trace.frame
    if frame is None or trace.kind not in {"call", "create"}:
        return
    yield frame.sender, "from"
    if frame.to is not None and (trace.kind == "call" or frame.error is None):
        yield frame.to, "to"


def _roles(trace: Trace) -> Iterator[tuple[bytes, str]]:
    frame = trace.frame
    if frame is None or frame.to is None:
        if frame is not None:
            yield frame.sender, "factory"
        return
    sender, recipient = {"call": ("call_from", "call_to"), "suicide": ("suicide", "suicide_refund")}.get(
        trace.kind, ("factory", "create")
    )
    yield frame.sender, sender
    yield frame.to, recipient
