"""Compares the blocks of a file with what a node says: headers, then receipts and logs of suspected blocks, or of all.

How a node is asked for receipts and logs is `sources.py`'s, what follows from them `resolve.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.ports import Call
from cryo_ingest.prove.log_summaries import LogRows
from cryo_ingest.prove.resolve import (
    Decision,
    Suspect,
    blooms_are_useful,
    decide_by_both,
    decide_by_logs,
    decide_by_receipts,
)
from cryo_ingest.prove.summaries import Mismatch
from cryo_ingest.rpc.results import UnusableResult, parse_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryo_ingest.prove.sources import Receipts, Sources
    from cryo_ingest.prove.summaries import Summary
    from cryo_ingest.rpc.results import Header

HEADERS_WINDOW_BLOCKS = 400
"""Blocks that are asked for at once; their headers are kept, the answers' JSON is not."""

RECEIPTS_WINDOW_BLOCKS = 25
"""Blocks whose receipts are held at once: full blocks have megabytes of them."""


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a node's answers say about one block's rows: the problem, or None, with the header that it gave."""

    header: Header | None
    problem: str | None = None


@dataclass(slots=True)
class Evidence:
    """One node's answers about one file.

    `resolved` counts the mismatches that better evidence explained, `example` describes the first; `rows_only` is set
    once some block rests on its rows alone, since the chain has nothing to confirm them by.
    """

    sources: Sources
    receipts_for_all: bool
    headers: dict[int, Header] = field(default_factory=dict)
    resolved: int = 0
    example: str | None = None
    rows_only: bool = False

    async def check(self, summary: Summary, numbers: list[int]) -> dict[int, BlockResult]:
        """Compare some blocks of a file and return the result for each.

        Raises:
            NodeUnavailable: some question got no answer.
        """
        results = await self._read_headers(numbers)
        blooms_are_unset = isinstance(summary, LogRows) and not any(each.bloom for each in self.headers.values())
        suspects: dict[int, Suspect] = {}
        for number in numbers:
            if number in results:
                continue
            header = self.headers[number]
            mismatch = self._unlinked(header) or summary.compare_header(header)
            if mismatch is None and blooms_are_unset and header.transactions:
                mismatch = Mismatch("the blooms of its chain are not set", heuristic=True)
            if mismatch is not None and not mismatch.heuristic:
                results[number] = BlockResult(header, mismatch.text)
            elif mismatch is not None or self.receipts_for_all:
                suspects[number] = Suspect(header, None if mismatch is None else mismatch.text)
            else:
                results[number] = BlockResult(header)
        waiting = list(suspects.items())
        for start in range(0, len(waiting), RECEIPTS_WINDOW_BLOCKS):
            results |= await self._resolve(summary, dict(waiting[start : start + RECEIPTS_WINDOW_BLOCKS]))
        return results

    async def _read_headers(self, numbers: list[int]) -> dict[int, BlockResult]:
        """Keep the headers of some blocks and return the results of those that have none."""
        failed: dict[int, BlockResult] = {}
        for start in range(0, len(numbers), HEADERS_WINDOW_BLOCKS):
            window = numbers[start : start + HEADERS_WINDOW_BLOCKS]
            calls = [Call("eth_getBlockByNumber", (hex(number), False)) for number in window]
            for number, answer in zip(window, await self.sources.node.request(calls), strict=True):
                try:
                    self.headers[number] = parse_header(answer, number)
                except UnusableResult as problem:
                    self.headers.pop(number, None)
                    failed[number] = BlockResult(None, str(problem))
        return failed

    def _unlinked(self, header: Header) -> Mismatch | None:
        """Notice a node that answers from two chains at once."""
        below = self.headers.get(header.number - 1)
        if below is None or below.hash == header.parent_hash:
            return None
        return Mismatch(f"the node's own block {header.number - 1} is not its parent")

    async def _resolve(self, summary: Summary, suspects: dict[int, Suspect]) -> dict[int, BlockResult]:
        """Resolve some suspected blocks, at level `receipts` all of them."""
        receipts = await self.sources.receipts([suspect.header for suspect in suspects.values()])
        decisions: dict[int, Decision] = {}
        if isinstance(summary, LogRows):
            decisions = await self._decide_on_logs(summary, suspects, receipts)
        else:
            for number, suspect in suspects.items():
                decisions[number] = _decide_on_receipts(summary, suspect, receipts[number])
        return {number: self._result(suspects[number], decision) for number, decision in decisions.items()}

    async def _decide_on_logs(
        self, rows: LogRows, suspects: dict[int, Suspect], receipts: Mapping[int, Receipts | str]
    ) -> dict[int, Decision]:
        """Decide by receipts where they suffice, and by the logs of the block's hash where they don't."""
        useful = blooms_are_useful(self.headers.values())
        decisions: dict[int, Decision] = {}
        for number, suspect in suspects.items():
            found = receipts[number]
            if isinstance(found, dict):
                decision = decide_by_receipts(rows, suspect, found, useful=useful)
            elif self.receipts_for_all:
                decision = _without_receipts(found)
            else:
                decision = None
            if decision is not None:
                decisions[number] = decision
        waiting = {number: suspect for number, suspect in suspects.items() if number not in decisions}
        logs = await self.sources.logs([suspect.header for suspect in waiting.values()])
        for number, suspect in waiting.items():
            found = receipts[number]
            if isinstance(found, dict):
                decisions[number] = decide_by_both(rows, suspect, found, logs[number], useful=useful)
                continue
            no_methods = self.sources.has_no_receipt_methods(suspect.header)
            decisions[number] = decide_by_logs(
                rows, suspect, logs[number], useful=useful, no_methods=no_methods, reason=found
            )
        return decisions

    def _result(self, suspect: Suspect, decision: Decision) -> BlockResult:
        if decision.problem is not None:
            about = f"; {suspect.suspicion}" if suspect.suspicion else ""
            return BlockResult(suspect.header, f"{decision.problem} ({decision.by}{about})")
        self.rows_only |= decision.rows_only
        if suspect.suspicion is not None:
            self.resolved += 1
            self.example = self.example or f"block {suspect.header.number}: {suspect.suspicion}; by {decision.by}"
        return BlockResult(suspect.header)


def _decide_on_receipts(summary: Summary, suspect: Suspect, receipts: Receipts | str) -> Decision:
    if isinstance(receipts, str):
        return _without_receipts(receipts)
    return Decision(summary.compare_receipts(suspect.header, receipts), "its receipts")


def _without_receipts(reason: str) -> Decision:
    return Decision(f"the node has no receipts for it ({reason})", "no receipts")
