"""Asks a node for the receipts and logs of suspected blocks, each by as few calls as the node allows.

An answer that can't be used is returned as a reason in words, not raised: what follows from it is `resolve.py`'s.
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
    """The node's receipts and logs; `missing` collects the methods that the node says it does not have."""

    node: Node
    missing: set[str] = field(default_factory=set)

    def has_no_receipt_methods(self, header: Header) -> bool:
        """Tell whether the node offers no method that could give this block's receipts."""
        return BLOCK_RECEIPTS in self.missing and (not header.transactions or RECEIPT in self.missing)

    async def receipts(self, headers: list[Header]) -> dict[int, Receipts | str]:
        """Return each block's receipts by transaction, by block or else one a transaction, or why there are none."""
        found: dict[int, Receipts | str] = {}
        if BLOCK_RECEIPTS not in self.missing:
            answers = await self._ask(BLOCK_RECEIPTS, [(hex(header.number),) for header in headers])
            for header, answer in zip(headers, answers, strict=True):
                found[header.number] = _receipts(answer, header)
        lacking = [header for header in headers if not isinstance(found.get(header.number), dict)]
        if lacking:
            found |= await self._receipts_one_by_one(lacking, found)
        return found

    async def logs(self, headers: list[Header]) -> dict[int, tuple[Log, ...] | str]:
        """Return each block's logs by the block's hash, or why there are none."""
        found: dict[int, tuple[Log, ...] | str] = {}
        answers = await self._ask("eth_getLogs", [({"blockHash": f"0x{header.hash.hex()}"},) for header in headers])
        for header, answer in zip(headers, answers, strict=True):
            try:
                found[header.number] = parse_logs(answer, header)
            except UnusableResult as problem:
                found[header.number] = str(problem)
        return found

    async def _receipts_one_by_one(
        self, headers: list[Header], reasons: Mapping[int, Receipts | str]
    ) -> dict[int, Receipts | str]:
        """Ask for each transaction's receipt, as Cryo does where a node has no receipts by block.

        The first of each block is asked for alone: a node that has pruned them then costs a call a block, not one a
        transaction. A block without transactions has no receipts to ask for.
        """
        found: dict[int, Receipts | str] = {header.number: {} for header in headers if not header.transactions}
        waiting = [header for header in headers if header.transactions]
        if RECEIPT in self.missing:
            return found | {each.number: reasons.get(each.number, f"it has no {RECEIPT}") for each in waiting}
        firsts = await self._ask(RECEIPT, [_hash(header.transactions[0]) for header in waiting])
        answers = {header.number: [first] for header, first in zip(waiting, firsts, strict=True)}
        rest = [
            (header, each)
            for header in waiting
            if isinstance(answers[header.number][0], dict)
            for each in header.transactions[1:]
        ]
        for (header, _), answer in zip(rest, await self._ask(RECEIPT, [_hash(each) for _, each in rest]), strict=True):
            answers[header.number].append(answer)
        for header in waiting:
            receipts = _receipts(answers[header.number], header)
            found[header.number] = receipts if isinstance(receipts, dict) else reasons.get(header.number, receipts)
        return found

    async def _ask(self, method: str, parameters: list[tuple[object, ...]]) -> list[object]:
        answers = (
            await self.node.request([Call(method, each) for each in parameters], optional=True) if parameters else []
        )
        if any(isinstance(answer, NodeError) and answer.method_is_missing for answer in answers):
            self.missing.add(method)
        return answers


def unexplained(bloom: int, logs: Iterable[Log]) -> bool:
    """Tell whether a bloom holds something that none of these logs puts there."""
    return bloom & ~bloom_of_logs((log.address, *log.topics) for log in logs) != 0


def _receipts(answer: object, header: Header) -> Receipts | str:
    """Parse receipts; those whose own bloom holds logs that they don't list have lost them."""
    try:
        receipts = parse_receipts(answer, header)
    except UnusableResult as problem:
        return str(problem)
    for receipt in receipts.values():
        if receipt.bloom and receipt.bloom != ALL_SET and unexplained(receipt.bloom, receipt.logs):
            return "a receipt's own bloom holds logs that the receipt does not list"
    return receipts


def _hash(transaction_hash: bytes) -> tuple[str]:
    return (f"0x{transaction_hash.hex()}",)
