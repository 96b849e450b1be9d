"""Answers `eth_getLogs` by block numbers: in ranges that the node accepts, checked block by block."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.answer_checks import BLOCK, Problem
from cryo_ingest.rpc.log_checks import join, split_by_block, suspects
from cryo_ingest.rpc.log_ranges import LogRanges, halves

if TYPE_CHECKING:
    from cryo_ingest.rpc.asking_again import AskingAgain
    from cryo_ingest.rpc.counters import GatewayCounters
    from cryo_ingest.rpc.evidence import BlockFields, Evidence
    from cryo_ingest.rpc.log_checks import BlockLogs
    from cryo_ingest.rpc.log_ranges import LogFilter

PERSISTENT_SUSPECTS = 3
"""After so many blooms that stayed unexplained, blooms are not checked any more: the proof judges them."""


@dataclass(slots=True)
class LogsPath:
    """Fetches and checks the logs of ranges; with `with_headers` the headers too, which go into the evidence."""

    ask: Callable[[Call], Awaitable[bytes | NodeError]]
    ask_all: Callable[[list[Call]], Awaitable[list[bytes | NodeError]]]
    asking_again: AskingAgain
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
        found = await self._split(wanted, fetching.result())
        if isinstance(found, NodeError):
            return found
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

    async def _split(
        self, wanted: LogFilter, parts: list[tuple[range, bytes]] | NodeError
    ) -> dict[int, BlockLogs] | NodeError:
        """Return the logs of all parts by block; a part whose answer is bad is asked for again."""
        if isinstance(parts, NodeError):
            return parts
        found: dict[int, BlockLogs] = {}
        for blocks, text in parts:
            split = split_by_block(text, blocks)
            good = await self._again(wanted, blocks, text, split) if isinstance(split, Problem) else split
            if isinstance(good, NodeError):
                return good
            found |= good
        return found

    async def _again(
        self, wanted: LogFilter, blocks: range, text: bytes, problem: Problem
    ) -> dict[int, BlockLogs] | NodeError:
        check = partial(_problem_in, blocks=blocks)
        answer = await self.asking_again.ask(wanted.call(blocks), text, problem, check=check)
        if isinstance(answer, bytes):
            split = split_by_block(answer, blocks)
            if not isinstance(split, Problem):
                return split
            raise RuntimeError(split.text)  # its problems are definite, so `ask` has raised
        if len(blocks) == 1 or answer.method_is_missing:
            return answer
        # The other endpoint may accept only smaller ranges than the one that gave the bad answer.
        found: dict[int, BlockLogs] = {}
        for half in halves(blocks):
            part = await self._split(wanted, await self._ranges.fetch(replace(wanted, blocks=half)))
            if isinstance(part, NodeError):
                return part
            found |= part
        return found

    async def _settle_suspects(
        self, wanted: LogFilter, found: dict[int, BlockLogs], headers: list[tuple[int, BlockFields]]
    ) -> None:
        """Ask again, block by block, for blocks whose bloom the logs do not explain."""
        by_number, transfers_only = dict(headers), not wanted.is_complete
        for number in suspects(found, headers, transfers_only=transfers_only):
            block = range(number, number + 1)
            check = partial(
                _missing_logs, blocks=block, header=(number, by_number[number]), transfers_only=transfers_only
            )
            first = join({number: found[number]} if number in found else {})
            problem = check(first)
            if problem is None:
                continue
            answer = await self.asking_again.ask(wanted.call(block), first, problem, check=check)
            split = Problem("", "") if isinstance(answer, NodeError) or check(answer) else split_by_block(answer, block)
            if not isinstance(split, Problem):
                found |= split
                continue
            self._unexplained += 1
            if self._unexplained >= PERSISTENT_SUSPECTS:
                return


def _problem_in(text: bytes, *, blocks: range) -> Problem | None:
    split = split_by_block(text, blocks)
    return split if isinstance(split, Problem) else None


def _missing_logs(
    text: bytes, *, blocks: range, header: tuple[int, BlockFields], transfers_only: bool
) -> Problem | None:
    """Return why the logs of one block do not explain its bloom; it is a suspicion, so the proof decides in the end."""
    split = split_by_block(text, blocks)
    if not isinstance(split, Problem) and not suspects(split, [header], transfers_only=transfers_only):
        return None
    return Problem("missing-logs", f"block {header[0]}: its logs do not explain its bloom", definite=False)
