"""Finds reorgs of blocks that were planned, by the parent links across ranges.

The hash of each planned end is remembered. As long as the next block has it as its parent, the chain below is the one
that was planned. Versions that are published are not changed: a reorg is reported, and the user decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.logs import log
from cryo_ingest.sync.state import Reorg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryo_ingest.ports import Clock
    from cryo_ingest.sync.head import HeadReader
    from cryo_ingest.sync.state import State


@dataclass(slots=True)
class ReorgDetector:
    """Compares the chain of each pool with the remembered hashes; `found` says whether there was a reorg."""

    heads: HeadReader
    state: State
    clock: Clock
    from_block: int
    found: bool = False

    async def check(self, pool: str, *, head: int, ends: Iterable[int]) -> None:
        """Check the newest remembered hash, and remember those of the blocks before `ends`.

        The new hashes are read first: a reorg between the two readings is then found now or by the next check.

        Raises:
            IngestError: a node does not answer, or does not have a block.
        """
        anchors = self.state.anchors(pool)
        lasts = sorted({end - 1 for end in ends})
        new = await self.heads.headers(pool, lasts) if lasts else []
        newest = next(iter(anchors), None)
        if newest is not None and newest < head:
            (after,) = await self.heads.headers(pool, [newest + 1])
            if after.parent_hash != anchors[newest]:
                await self._report(pool, anchors, head)
        for header in new:
            self.state.add_anchor(pool, header.number, header.hash)

    async def _report(self, pool: str, anchors: dict[int, bytes], head: int) -> None:
        """Report the blocks above the highest remembered one that the chain still has."""
        known = [number for number in anchors if number <= head]
        headers = await self.heads.headers(pool, known)
        same = [header.number for header in headers if header.hash == anchors[header.number]]
        blocks = (max(same) + 1 if same else self.from_block, max(anchors) + 1)
        self.found = True
        self.state.record_reorg(Reorg(pool, blocks, self.clock.time()))
        log.error("sync.reorg", pool=pool, from_block=blocks[0], to_block=blocks[1])
