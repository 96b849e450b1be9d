"""Answers `eth_getLogs` by block numbers: in ranges that the node accepts, checked block by block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.errors import AnswerRefused
from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.answer_checks import BLOCK, Problem
from cryo_ingest.rpc.log_checks import join, split_by_block, suspects
from cryo_ingest.rpc.log_ranges import LOGS, LogRanges

if TYPE_CHECKING:
    from cryo_ingest.rpc.counters import GatewayCounters
    from cryo_ingest.rpc.evidence import BlockFields, Evidence
    from cryo_ingest.rpc.log_checks import BlockLogs
    from cryo_ingest.rpc.log_ranges import LogFilter

TRIES = 3
PERSISTENT_SUSPECTS = 3
"""After so many blooms that stayed unexplained, blooms are not checked any more: the proof judges them."""


@dataclass(slots=True)
class LogsPath:
    """Fetches and checks the logs of ranges; with `with_headers` the headers too, which go into the evidence."""

    ask: Callable[[Call], Awaitable[bytes | NodeError]]
    ask_all: Callable[[list[Call]], Awaitable[list[bytes | NodeError]]]
    evidence: Evidence | None
    counters: GatewayCounters
    with_headers: bool
    _ranges: LogRanges = field(init=False)
    _unexplained: int = 0

    def __post_init__(self) -> None:
        self._ranges = LogRanges(self.ask)

    async def fetch(self, wanted: LogFilter) -> bytes | NodeError:
        """Return the logs of a range as one JSON list.

        Raises:
            AnswerRefused: a part of the answer is bad, and remains so.
            IngestError: no endpoint answers.
        """
        async with asyncio.TaskGroup() as group:
            headers = group.create_task(self._fetch_headers(wanted.blocks)) if self.with_headers else None
            fetching = group.create_task(self._ranges.fetch(wanted))
        self.counters.log_ranges_halved = self._ranges.halvings
        parts = fetching.result()
        if isinstance(parts, NodeError):
            return parts
        found: dict[int, BlockLogs] = {}
        for blocks, text in parts:
            split = split_by_block(text, blocks)
            if isinstance(split, Problem):
                split = await self._again(wanted, blocks, split)
            found |= split
        if headers is not None and self._unexplained < PERSISTENT_SUSPECTS:
            await self._settle_suspects(wanted, found, headers.result())
        return join(found)

    async def _fetch_headers(self, blocks: range) -> list[tuple[int, BlockFields]]:
        if self.evidence is None:
            return []
        missing = [number for number in blocks if number not in self.evidence.headers]
        await self.ask_all([Call(BLOCK, (hex(number), False)) for number in missing])
        found = ((number, self.evidence.header(number)) for number in blocks)
        return [(number, header) for number, header in found if header is not None]

    async def _again(self, wanted: LogFilter, blocks: range, problem: Problem) -> dict[int, BlockLogs]:
        """Ask again for a part whose answer is bad."""
        self.counters.bad_answers[problem.kind] += 1
        async for split in self._answers(wanted, blocks):
            if not isinstance(split, Problem):
                self.counters.cured[problem.kind] += 1
                return split
            problem = split
        raise AnswerRefused(endpoint_name="the RPC pool", method=LOGS, problem=problem.text, same=True)

    async def _settle_suspects(
        self, wanted: LogFilter, found: dict[int, BlockLogs], headers: list[tuple[int, BlockFields]]
    ) -> None:
        """Ask again, block by block, for blocks whose bloom the logs do not explain."""
        by_number, transfers_only = dict(headers), not wanted.is_complete
        for number in suspects(found, headers, transfers_only=transfers_only):
            self.counters.bad_answers["missing-logs"] += 1
            header = [(number, by_number[number])]
            async for split in self._answers(wanted, range(number, number + 1)):
                if not isinstance(split, Problem) and not suspects(split, header, transfers_only=transfers_only):
                    self.counters.cured["missing-logs"] += 1
                    found |= split
                    break
            else:
                self._unexplained += 1
                if self._unexplained >= PERSISTENT_SUSPECTS:
                    return

    async def _answers(self, wanted: LogFilter, blocks: range) -> AsyncIterator[dict[int, BlockLogs] | Problem]:
        """Ask for some blocks up to `TRIES` times, and yield each answer that is not an error."""
        for _ in range(TRIES):
            answer = await self.ask(wanted.call(blocks))
            if not isinstance(answer, NodeError):
                yield split_by_block(answer, blocks)
