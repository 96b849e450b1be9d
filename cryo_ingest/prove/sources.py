"""Requests the receipts and logs of suspect blocks, with as few calls as the node allows.

An unusable answer is returned as a reason, not raised: `resolve.py` draws the conclusion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.ports import Call, NodeError
from cryo_ingest.prove.bloom import ALL_SET, bloom_of_logs
from cryo_ingest.rpc.results import UnusableResult, parse_logs, parse_receipts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryo_ingest.ports import Node
    from cryo_ingest.rpc.results import Header, Log, Receipt

BLOCK_RECEIPTS = "eth_getBlockReceipts"
RECEIPT = "eth_getTransactionReceipt"

Receipts = dict[bytes, "Receipt"]


@dataclass(slots=True)
class Sources:
    """A node's receipts and logs; `missing_methods` collects the methods that the node does not have."""

    node: Node
    missing_methods: set[str] = field(default_factory=set)

    def has_no_receipt_methods(self, header: Header) -> bool:
        """Return whether the node has no method that returns this block's receipts."""
        no_receipt = not header.transactions or RECEIPT in self.missing_methods
        return BLOCK_RECEIPTS in self.missing_methods and no_receipt

    async def receipts(self, headers: list[Header]) -> dict[int, Receipts | str]:
        """Return each block's receipts by transaction hash, or the reason why there are none."""
        found: dict[int, Receipts | str] = {}
        if BLOCK_RECEIPTS not in self.missing_methods:
            answers = await self._request(BLOCK_RECEIPTS, [(hex(header.number),) for header in headers])
            for header, answer in zip(headers, answers, strict=True):
                found[header.number] = _receipts(answer, header)
        lacking = [header for header in headers if not isinstance(found.get(header.number), dict)]
        if lacking:
            found |= await self._receipts_one_by_one(lacking, found)
        return found

    async def logs(self, headers: list[Header]) -> dict[int, tuple[Log, ...] | str]:
        """Return each block's logs, requested by the block's hash, or the reason why there are none."""
        found: dict[int, tuple[Log, ...] | str] = {}
        answers = await self._request("eth_getLogs", [({"blockHash": f"0x{header.hash.hex()}"},) for header in headers])
        for header, answer in zip(headers, answers, strict=True):
            try:
                found[header.number] = parse_logs(answer, header)
            except UnusableResult as problem:
                found[header.number] = str(problem)
        return found

    async def _receipts_one_by_one(
        self, headers: list[Header], reasons: Mapping[int, Receipts | str]
    ) -> dict[int, Receipts | str]:
        """Request each transaction's receipt, as Cryo does if a node has no receipts by block.

        Each block's first receipt is requested alone: if the node has pruned them, that is one call a block and not one
        a transaction. A block without transactions has no receipts.
        """
        found: dict[int, Receipts | str] = {header.number: {} for header in headers if not header.transactions}
        waiting = [header for header in headers if header.transactions]
        if RECEIPT in self.missing_methods:
            return found | {each.number: reasons.get(each.number, f"it has no {RECEIPT}") for each in waiting}
        firsts = await self._request(RECEIPT, [_hash(header.transactions[0]) for header in waiting])
        answers = {header.number: [first] for header, first in zip(waiting, firsts, strict=True)}
        rest = [
            (header, each)
            for header in waiting
            if isinstance(answers[header.number][0], dict)
            for each in header.transactions[1:]
        ]
        more = await self._request(RECEIPT, [_hash(each) for _, each in rest])
        for (header, _), answer in zip(rest, more, strict=True):
            answers[header.number].append(answer)
        for header in waiting:
            receipts = _receipts(answers[header.number], header)
            found[header.number] = receipts if isinstance(receipts, dict) else reasons.get(header.number, receipts)
        return found

    async def _request(self, method: str, parameters: list[tuple[object, ...]]) -> list[object]:
        calls = [Call(method, each) for each in parameters]
        answers = await self.node.request(calls, optional=True) if calls else []
        if any(isinstance(answer, NodeError) and answer.method_is_missing for answer in answers):
            self.missing_methods.add(method)
        return answers


def has_bits_beyond(bloom: int, logs: Iterable[Log]) -> bool:
    """Return whether a bloom has bits that none of these logs sets."""
    return bloom & ~bloom_of_logs((log.address, *log.topics) for log in logs) != 0


def _receipts(answer: object, header: Header) -> Receipts | str:
    """Parse receipts; a receipt whose bloom has more than the logs that it lists is unusable."""
    try:
        receipts = parse_receipts(answer, header)
    except UnusableResult as problem:
        return str(problem)
    for receipt in receipts.values():
        if receipt.bloom and receipt.bloom != ALL_SET and has_bits_beyond(receipt.bloom, receipt.logs):
            return "a receipt's bloom has logs that the receipt does not list"
    return receipts


def _hash(transaction_hash: bytes) -> tuple[str]:
    return (f"0x{transaction_hash.hex()}",)
