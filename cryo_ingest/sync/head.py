"""Reads the head of a chain from a pool: where it is, what is final, and the hashes of single blocks."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cryo_ingest.errors import NodeUnavailable
from cryo_ingest.ports import Call
from cryo_ingest.rpc.endpoint import check_chain_id, read_head
from cryo_ingest.rpc.pool import Pool
from cryo_ingest.rpc.results import UnusableResult, parse_header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from cryo_ingest.ports import Chain, Clock, Node
    from cryo_ingest.rpc.results import Header
    from cryo_ingest.settings import Settings

PATIENCE_SECONDS = 30.0
"""The time after which a reading fails; the next one follows after `head_poll_interval_seconds`."""

BLOCK = "eth_getBlockByNumber"


@dataclass(frozen=True, slots=True)
class Head:
    """The number of the head block, and of the last final block; None if the node has no finality."""

    number: int
    final: int | None = None


class HeadReader(Protocol):
    """Reads from the nodes of a pool. Two readings may come from different nodes."""

    async def head(self, pool: str) -> Head:
        """Return the head.

        Raises:
            IngestError: no node of the pool serves the job's chain and answers.
        """
        ...

    async def headers(self, pool: str, numbers: Sequence[int]) -> list[Header]:
        """Return the headers of some blocks, in the same order.

        Raises:
            IngestError: as `head`, or a node does not have one of the blocks.
        """
        ...


@dataclass(frozen=True, slots=True)
class NodeHeads:
    """Reads heads from real nodes; `chain_of` opens the nodes of a pool."""

    chain_id: int
    settings: Settings
    clock: Clock
    chain_of: Callable[[str], Chain]

    async def head(self, pool: str) -> Head:
        """Read the head; with `TRACE_CRYO_CONFIRMATIONS` finality is not asked for, as in an attempt."""
        async with self._open(pool) as node:
            return Head(*await read_head(node, with_final=self.settings.confirmations is None))

    async def headers(self, pool: str, numbers: Sequence[int]) -> list[Header]:
        """Read some headers."""
        async with self._open(pool) as node:
            answers = await node.request([Call(BLOCK, (hex(number), False)) for number in numbers], quick=True)
            try:
                return [parse_header(answer, number) for answer, number in zip(answers, numbers, strict=True)]
            except UnusableResult as problem:
                raise NodeUnavailable(endpoint_name=node.name, method=BLOCK, reason=str(problem)) from None

    @asynccontextmanager
    async def _open(self, pool: str) -> AsyncIterator[Pool]:
        async def check(node: Node) -> None:
            await check_chain_id(node, self.chain_id, quick=True)

        deadline = self.clock.monotonic() + PATIENCE_SECONDS
        async with AsyncExitStack() as stack:
            yield Pool(pool, self.settings, self.chain_of(pool), self.clock, deadline, stack, check)
