"""Requests the receipts and logs of suspect blocks, with as few calls as the node allows.

An unusable answer is returned as `Unavailable`, not raised: `resolve.py` draws the conclusion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.bloom import ALL_SET, bloom_of_logs
from cryo_ingest.rpc.evidence import WithEvidence
from cryo_ingest.rpc.results import UnusableResult, parse_logs, parse_receipts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryo_ingest.ports import Node
    from cryo_ingest.rpc.evidence import WithEvidence
from cryo_ingest.rpc.results import Header, Log, Receipt

BLOCK_RECEIPTS = "eth_getBlockReceipts"
RECEIPT = "eth_getTransactionReceipt"

Receipts = dict[bytes, "Receipt"]
"""A block's receipts by transaction hash."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The node returned no usable receipts or logs for a block; `reason` says why."""

    reason: str


@dataclass(slots=True)
class Sources:
    """A node's receipts and logs; `missing_methods` collects the methods that the node does not have."""

    node: Node
    missing_methods: set[str] = field(default_factory=set)

    def ask_afresh(self) -> None:
        """Ask the node itself from now on, not for what passed through the gateway."""
        if isinstance(self.node, WithEvidence):
            self.node = self.node.node

    def has_receipt_method(self, header: Header) -> bool:
        """Return whether the node has a method that returns this block's receipts."""
        has_single_receipts = bool(header.transactions) and RECEIPT not in self.missing_methods
        return BLOCK_RECEIPTS not in self.missing_methods or has_single_receipts

    async def receipts(self, headers: list[Header]) -> dict[int, Receipts | Unavailable]:
        """Return each block's receipts, or why there are none."""
        found: dict[int, Receipts | Unavailable] = {}
        if BLOCK_RECEIPTS not in self.missing_methods:
            answers = await self._request(BLOCK_RECEIPTS, [(hex(header.number),) for header in headers])
            for header, answer in zip(headers, answers, strict=True):
                found[header.number] = _receipts(answer, header)
        missing = [header for header in headers if not isinstance(found.get(header.number), dict)]
        if missing:
            found |= await self._receipts_one_by_one(missing, found)
        return found

    async def logs(self, headers: list[Header]) -> dict[int, tuple[Log, ...] | Unavailable]:
        """Return each block's logs, requested by the block's hash, or why there are none."""
        found: dict[int, tuple[Log, ...] | Unavailable] = {}
        answers = await self._request("eth_getLogs", [({"blockHash": f"0x{header.hash.hex()}"},) for header in headers])
        for header, answer in zip(headers, answers, strict=True):
            try:
                found[header.number] = parse_logs(answer, header)
            except UnusableResult as problem:
                found[header.number] = Unavailable(str(problem))
        return found

    async def _receipts_one_by_one(
        self, headers: list[Header], block_receipts: Mapping[int, Receipts | Unavailable]
    ) -> dict[int, Receipts | Unavailable]:
        """Request each transaction's receipt, as Cryo does if a node has no receipts by block.

        `block_receipts` has the reasons why the receipts by block are not available.

        Each block's first receipt is requested first. If the node has pruned the receipts, this takes one call for each
        block instead of one for each transaction. A block without transactions has no receipts.
        """
        found: dict[int, Receipts | Unavailable] = {header.number: {} for header in headers if not header.transactions}
        remaining = [header for header in headers if header.transactions]
        if RECEIPT in self.missing_methods:
            no_method = Unavailable(f"it has no {RECEIPT}")
            return found | {header.number: block_receipts.get(header.number, no_method) for header in remaining}
        firsts = await self._request(RECEIPT, [_hash(header.transactions[0]) for header in remaining])
        answers = {header.number: [first] for header, first in zip(remaining, firsts, strict=True)}
        rest = [
            (header, transaction)
            for header in remaining
            if isinstance(answers[header.number][0], dict)
            for transaction in header.transactions[1:]
        ]
        more = await self._request(RECEIPT, [_hash(transaction) for _, transaction in rest])
        for (header, _), answer in zip(rest, more, strict=True):
            answers[header.number].append(answer)
        for header in remaining:
            receipts = _receipts(answers[header.number], header)
            found[header.number] = (
                receipts if isinstance(receipts, dict) else block_receipts.get(header.number, receipts)
            )
        return found

    async def _request(self, method: str, parameters: list[tuple[object, ...]]) -> list[object]:
        calls = [Call(method, params) for params in parameters]
        answers = await self.node.request(calls, optional=True) if calls else []
        if any(isinstance(answer, NodeError) and answer.method_is_missing for answer in answers):
            self.missing_methods.add(method)
        return answers


def has_bits_beyond(bloom: int, logs: Iterable[Log]) -> bool:
    """Return whether a bloom has bits that none of these logs sets."""
    return bloom & ~bloom_of_logs((log.address, *log.topics) for log in logs) != 0


def _receipts(answer: object, header: Header) -> Receipts | Unavailable:
    """Parse receipts; a receipt whose bloom has bits that none of its logs sets is unusable."""
    try:
        receipts = parse_receipts(answer, header)
    except UnusableResult as problem:
        return Unavailable(str(problem))
    for receipt in receipts.values():
        if receipt.bloom and receipt.bloom != ALL_SET and has_bits_beyond(receipt.bloom, receipt.logs):
            return Unavailable("a receipt's bloom has bits that none of the receipt's logs sets")
    return receipts


def _hash(transaction_hash: bytes) -> tuple[str]:
    return (f"0x{transaction_hash.hex()}",)
