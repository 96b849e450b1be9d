"""Which range comes next: the lowest blocks over all streams, within each stream's `max_inflight`.

A range is unfinished from its first attempt until it is published or set aside, also while it waits for a retry.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryo_ingest.sync.derived import Blocks, DerivedStream


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One range of the stream at `place` in the job."""

    blocks: Blocks
    place: int


@dataclass(slots=True)
class RangeQueue:
    """The ranges of all streams by state; times are the clock's monotonic seconds."""

    streams: Sequence[DerivedStream]
    waiting: dict[Item, float] = field(default_factory=dict)
    running: set[Item] = field(default_factory=set)
    blocked: set[int] = field(default_factory=set)
    _new: dict[int, list[Item]] = field(default_factory=dict)

    def add(self, place: int, ranges: Iterable[Blocks]) -> None:
        """Add ranges that have not been attempted."""
        queue = self._new.setdefault(place, [])
        for blocks in ranges:
            heapq.heappush(queue, Item(blocks, place))

    def start_next(self, now: float) -> Item | None:
        """Return the next range and mark it as running; None if none may start now."""
        candidates = [item for item, due in self.waiting.items() if due <= now]
        for place, queue in self._new.items():
            limit = self.streams[place].stream.max_inflight
            if queue and place not in self.blocked and self.unfinished(place) < limit:
                candidates.append(queue[0])
        if not candidates:
            return None
        item = min(candidates, key=lambda each: (each.blocks[0], each.place))
        if self.waiting.pop(item, None) is None:
            heapq.heappop(self._new[item.place])
        self.running.add(item)
        return item

    def finish(self, item: Item) -> None:
        """Remove a range that was running."""
        self.running.discard(item)

    def retry(self, item: Item, *, at: float) -> None:
        """Let a range that was running start again at a time."""
        self.running.discard(item)
        self.waiting[item] = at

    def block(self, place: int) -> None:
        """Start no more ranges of a stream."""
        self.blocked.add(place)
        for item in [item for item in self.waiting if item.place == place]:
            del self.waiting[item]

    def unfinished(self, place: int) -> int:
        """Return the number of a stream's ranges that were attempted and are neither published nor set aside."""
        return sum(item.place == place for item in (*self.running, *self.waiting))

    def next_block(self, place: int, *, end: int) -> int:
        """Return the first block of the stream's lowest range that is not finished, `end` without one."""
        starts = [
            item.blocks[0]
            for item in (*self.running, *self.waiting, *self._new.get(place, [])[:1])
            if item.place == place
        ]
        return min(starts, default=end)

    def next_due(self) -> float | None:
        """Return the time of the next retry."""
        return min(self.waiting.values(), default=None)

    @property
    def is_done(self) -> bool:
        """Whether no range is left that could start."""
        left = any(queue for place, queue in self._new.items() if place not in self.blocked)
        return not left and not self.waiting and not self.running


def halves(blocks: Blocks) -> tuple[Blocks, Blocks] | None:
    """Split a range in two, between two of Cryo's files if it has several; None for a single block."""
    start, end = blocks
    size = end - start
    if size > layout.CHUNK_BLOCKS:
        files = -(-size // layout.CHUNK_BLOCKS)
        middle = start + files // 2 * layout.CHUNK_BLOCKS
    else:
        middle = start + size // 2
    return None if middle in {start, end} else ((start, middle), (middle, end))


def apply_splits(tasks: Iterable[Blocks], splits: frozenset[Blocks]) -> list[Blocks]:
    """Replace each task that was split in an earlier run by its halves, at any depth."""
    result: list[Blocks] = []
    for task in tasks:
        parts = halves(task) if task in splits else None
        result += [task] if parts is None else apply_splits(parts, splits)
    return result
