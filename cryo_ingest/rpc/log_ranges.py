"""Fetches the logs of a range of blocks, in parts that the node accepts.

Providers limit `eth_getLogs` by blocks, results, bytes or time, with many codes and words; the remedy is always a
smaller range. So every error but a missing method halves a range of several blocks, and the accepted size is used for
later ranges. It grows again slowly. A timeout may also be a fault of the moment, so a single one halves only its own
range.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.limits import BATCH_BYTES
from cryo_ingest.rpc.replies import is_timeout
from cryo_ingest.rpc.results import quantity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cryo_ingest.rpc.replies import RequestFailed

LOGS = "eth_getLogs"
SUCCESSES_TO_GROW = 16
UNLIMITED = 1 << 32


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The parameters of a call: inclusive block numbers, and the other fields as they are."""

    blocks: range
    others: tuple[tuple[str, Any], ...]

    @classmethod
    def of_call(cls, call: Call) -> LogFilter | None:
        """Return the filter of a call by block numbers; None for other calls (a tag, a block's hash)."""
        fields = call.params[0] if call.method == LOGS and call.params else None
        if not isinstance(fields, dict):
            return None
        start, end = quantity(fields.get("fromBlock")), quantity(fields.get("toBlock"))
        if start is None or end is None or end < start or "blockHash" in fields:
            return None
        others = tuple((name, value) for name, value in fields.items() if name not in {"fromBlock", "toBlock"})
        return cls(range(start, end + 1), others)

    @property
    def is_complete(self) -> bool:
        """Whether the filter matches all logs of its blocks."""
        return all(value in ([], None) for _, value in self.others)

    def call(self, blocks: range) -> Call:
        """Return the call for a part of the blocks."""
        bounds = {"fromBlock": hex(blocks.start), "toBlock": hex(blocks.stop - 1)}
        return Call(LOGS, ({**bounds, **dict(self.others)},))


def spans_blocks(call: Call) -> bool:
    """Return whether a call is for the logs of several blocks by number, so that it can be split."""
    wanted = LogFilter.of_call(call)
    return wanted is not None and len(wanted.blocks) > 1


def range_refusal(call: Call, failure: RequestFailed) -> NodeError | None:
    """Return the error that refuses the range of a call, None if the failure may pass or the call is another one.

    A timeout of a call for several blocks says that the range is too large: the same call would mostly time out again.
    """
    if not failure.about_time or not spans_blocks(call):
        return None
    return failure.error or NodeError(0, f"timeout: {failure.reason}")


@dataclass(slots=True)
class LogRanges:
    """Fetches ranges with `ask`; `max_blocks` is the largest range that is sent at present."""

    ask: Callable[[Call], Awaitable[bytes | NodeError]]
    max_blocks: int = UNLIMITED
    halvings: int = 0
    _successes: int = 0
    _timeouts: int = 0

    async def fetch(self, wanted: LogFilter) -> list[tuple[range, bytes]] | NodeError:
        """Return the answers for consecutive parts of the range, or the node's error for a single block."""
        parts = _split(wanted.blocks, self.max_blocks)
        answers = await asyncio.gather(*(self._fetch_part(wanted, part) for part in parts))
        found: list[tuple[range, bytes]] = []
        for answer in answers:
            if isinstance(answer, NodeError):
                return answer
            found += answer
        return found

    async def _fetch_part(self, wanted: LogFilter, blocks: range) -> list[tuple[range, bytes]] | NodeError:
        answer = await self.ask(wanted.call(blocks))
        if not isinstance(answer, NodeError):
            self._accepted(len(blocks), len(answer))
            return [(blocks, answer)]
        if len(blocks) == 1 or answer.method_is_missing:
            return answer
        self.halvings += 1
        self._refused(len(blocks), answer)
        found: list[tuple[range, bytes]] = []
        for half in halves(blocks):
            part = await self._fetch_part(wanted, half)
            if isinstance(part, NodeError):
                return part
            found += part
        return found

    def _refused(self, blocks: int, error: NodeError) -> None:
        self._timeouts = self._timeouts + 1 if is_timeout(error) else 0
        if self._timeouts != 1:
            self.max_blocks, self._successes = max(1, min(self.max_blocks, blocks // 2)), 0

    def _accepted(self, blocks: int, size_bytes: int) -> None:
        self._timeouts = 0
        if size_bytes > BATCH_BYTES:
            self.max_blocks = max(1, min(self.max_blocks, blocks * BATCH_BYTES // size_bytes))
        elif blocks >= self.max_blocks:
            self._successes += 1
            if self._successes >= SUCCESSES_TO_GROW:
                self.max_blocks, self._successes = min(2 * self.max_blocks, UNLIMITED), 0


def halves(blocks: range) -> list[range]:
    """Return the two halves of a range of at least two blocks."""
    return _split(blocks, (len(blocks) + 1) // 2)


def _split(blocks: range, size: int) -> list[range]:
    return [blocks[start : start + size] for start in range(0, len(blocks), size)]
