"""Compares a file's blocks with a node: headers, then receipts and logs of suspect blocks, or of all blocks.

`sources.py` requests receipts and logs, and `resolve.py` draws conclusions from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.ports import Call
from cryo_ingest.prove.log_summaries import LogRows
from cryo_ingest.prove.resolve import (
    Resolution,
    SuspectBlock,
    blooms_are_useful,
    resolve_by_logs,
    resolve_by_receipts,
    resolve_by_receipts_and_logs,
)
from cryo_ingest.prove.sources import Unavailable
from cryo_ingest.prove.summaries import Mismatch
from cryo_ingest.rpc.results import UnusableResult, parse_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryo_ingest.prove.sources import Receipts, Sources
    from cryo_ingest.prove.summaries import Summary
    from cryo_ingest.rpc.results import Header

HEADERS_PER_REQUEST = 400
"""Only the parsed headers are kept in memory, not the JSON of the responses, which is much larger."""

RECEIPTS_PER_REQUEST, BLOCKS_PER_REQUEST = 5_000, 250
"""At most so many receipts, of so many blocks, are in memory at once, or those of one block: a full block has hundreds,
which take megabytes."""


@dataclass(frozen=True, slots=True)
class BlockResult:
    """The result for one block: its header, and the problem with its rows, None if there is none."""

    header: Header | None
    problem: str | None = None


@dataclass(slots=True)
class NodeComparison:
    """Compares the blocks of one file with one node, and keeps the headers and the results.

    `resolved` counts the heuristic mismatches that receipts or logs explained, and `example` describes the first.
    `rows_only` is set once a block is proved by its rows alone, because the node offers nothing to compare them with.
    """

    sources: Sources
    receipts_for_all: bool
    headers: dict[int, Header] = field(default_factory=dict)
    resolved: int = 0
    example: str | None = None
    rows_only: bool = False

    async def compare(self, summary: Summary, block_numbers: list[int]) -> dict[int, BlockResult]:
        """Compare some blocks of a file and return the result for each.

        Raises:
            NodeUnavailable: a request failed.
        """
        results = await self._read_headers(block_numbers)
        blooms_are_unset = isinstance(summary, LogRows) and not any(header.bloom for header in self.headers.values())
        suspects: dict[int, SuspectBlock] = {}
        for number in block_numbers:
            if number in results:
                continue
            header = self.headers[number]
            mismatch = self._parent_mismatch(header) or summary.compare_header(header)
            if mismatch is None and blooms_are_unset and header.transactions:
                mismatch = Mismatch("the chain's headers have no blooms", heuristic=True)
            if mismatch is not None and not mismatch.heuristic:
                results[number] = BlockResult(header, mismatch.text)
            elif mismatch is not None or self.receipts_for_all:
                suspects[number] = SuspectBlock(header, None if mismatch is None else mismatch.text)
            else:
                results[number] = BlockResult(header)
        for group in _groups(suspects):
            results |= await self._resolve(summary, group)
        return results

    async def _read_headers(self, block_numbers: list[int]) -> dict[int, BlockResult]:
        """Read the headers of some blocks into `headers`; return a result for each block without a usable header."""
        failed: dict[int, BlockResult] = {}
        for start in range(0, len(block_numbers), HEADERS_PER_REQUEST):
            requested = block_numbers[start : start + HEADERS_PER_REQUEST]
            calls = [Call("eth_getBlockByNumber", (hex(number), False)) for number in requested]
            for number, answer in zip(requested, await self.sources.node.request(calls), strict=True):
                try:
                    self.headers[number] = parse_header(answer, number)
                except UnusableResult as problem:
                    self.headers.pop(number, None)
                    failed[number] = BlockResult(None, str(problem))
        return failed

    def _parent_mismatch(self, header: Header) -> Mismatch | None:
        """Return a mismatch if the node's previous block is not the parent of this one.

        Such a node answers from two branches of the chain.
        """
        previous = self.headers.get(header.number - 1)
        if previous is None or previous.hash == header.parent_hash:
            return None
        return Mismatch(f"the node's own block {header.number - 1} is not its parent")

    async def _resolve(self, summary: Summary, suspects: dict[int, SuspectBlock]) -> dict[int, BlockResult]:
        """Resolve suspect blocks by receipts and logs; at level `receipts` all blocks are suspect."""
        receipts = await self.sources.receipts([suspect.header for suspect in suspects.values()])
        if isinstance(summary, LogRows):
            resolutions = await self._resolve_logs(summary, suspects, receipts)
        else:
            resolutions = {
                number: _compare_receipts(summary, suspect, receipts[number]) for number, suspect in suspects.items()
            }
        return {number: self._result(suspects[number], resolution) for number, resolution in resolutions.items()}

    async def _resolve_logs(
        self, rows: LogRows, suspects: dict[int, SuspectBlock], receipts: Mapping[int, Receipts | Unavailable]
    ) -> dict[int, Resolution]:
        """Resolve blocks by their receipts if those suffice, otherwise by `eth_getLogs` for the block's hash."""
        useful_blooms = blooms_are_useful(self.headers.values())
        resolutions: dict[int, Resolution] = {}
        for number, suspect in suspects.items():
            found = receipts[number]
            if isinstance(found, dict):
                resolution = resolve_by_receipts(rows, suspect, receipts=found, useful_blooms=useful_blooms)
            else:
                resolution = _without_receipts(found) if self.receipts_for_all else None
            if resolution is not None:
                resolutions[number] = resolution
        unresolved = {number: suspect for number, suspect in suspects.items() if number not in resolutions}
        logs = await self.sources.logs([suspect.header for suspect in unresolved.values()])
        for number, suspect in unresolved.items():
            found = receipts[number]
            if isinstance(found, dict):
                resolutions[number] = resolve_by_receipts_and_logs(
                    rows, suspect, receipts=found, logs=logs[number], useful_blooms=useful_blooms
                )
                continue
            resolutions[number] = resolve_by_logs(
                rows,
                suspect,
                logs=logs[number],
                useful_blooms=useful_blooms,
                has_receipt_method=self.sources.has_receipt_method(suspect.header),
                receipts=found,
            )
        return resolutions

    def _result(self, suspect: SuspectBlock, resolution: Resolution) -> BlockResult:
        if resolution.problem is not None:
            mismatch = f"; {suspect.mismatch}" if suspect.mismatch else ""
            return BlockResult(suspect.header, f"{resolution.problem} ({resolution.source}{mismatch})")
        self.rows_only |= resolution.rows_only
        if suspect.mismatch is not None:
            self.resolved += 1
            example = f"block {suspect.header.number}: {suspect.mismatch}; resolved by {resolution.source}"
            self.example = self.example or example
        return BlockResult(suspect.header)


def _groups(suspects: Mapping[int, SuspectBlock]) -> Iterator[dict[int, SuspectBlock]]:
    """Yield the suspect blocks in groups whose receipts are requested together."""
    group: dict[int, SuspectBlock] = {}
    receipts = 0
    for number, suspect in suspects.items():
        expected = len(suspect.header.transactions)
        if group and (receipts + expected > RECEIPTS_PER_REQUEST or len(group) == BLOCKS_PER_REQUEST):
            yield group
            group, receipts = {}, 0
        group[number] = suspect
        receipts += expected
    if group:
        yield group


def _compare_receipts(summary: Summary, suspect: SuspectBlock, receipts: Receipts | Unavailable) -> Resolution:
    if isinstance(receipts, Unavailable):
        return _without_receipts(receipts)
    return Resolution(summary.compare_receipts(suspect.header, receipts), "its receipts")


def _without_receipts(receipts: Unavailable) -> Resolution:
    return Resolution(f"the node has no receipts for it ({receipts.reason})", "no receipts")
