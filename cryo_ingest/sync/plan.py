"""Which ranges of a stream are missing, and the tasks that fill them. Pure functions of a listing."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest import layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryo_ingest.sync.derived import Blocks, DerivedStream
    from cryo_ingest.sync.published import Published


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """A stream's target, what of it is published, and the tasks for the rest, in block order."""

    stream: DerivedStream
    target: Blocks
    published: Published
    tasks: tuple[Blocks, ...]

    @property
    def blocks(self) -> int:
        """The number of blocks in the target."""
        return self.target[1] - self.target[0]

    @property
    def missing_blocks(self) -> int:
        """The number of blocks that no complete version has."""
        return sum(end - start for start, end in self.tasks)

    @property
    def missing_files(self) -> int:
        """The number of Parquet files that the tasks will write."""
        return sum(-(-(end - start) // layout.CHUNK_BLOCKS) for start, end in self.tasks)

    @property
    def largest_task_files(self) -> int:
        """The number of files of the largest task, 0 without tasks."""
        return max((-(-(end - start) // layout.CHUNK_BLOCKS) for start, end in self.tasks), default=0)

    @property
    def next_block(self) -> int:
        """The first block that is not published: the platform's cursor if it had published the same."""
        return self.tasks[0][0] if self.tasks else self.target[1]


def plan_stream(stream: DerivedStream, published: Published, *, target: Blocks) -> StreamPlan:
    """Plan the tasks of a stream so that each block of the target is published once.

    Gaps between published ranges are cut upward from their start into ranges of `chunk_size`; the last one may be
    short. A range that an attempt began is planned as it is: another cut would leave its files in the store for ever.
    """
    tasks = tuple(
        task
        for gap in gaps(published.complete, target=target)
        for task in _cut(gap, stream.stream.chunk_size, begun=published.unfinished)
    )
    return StreamPlan(stream, target, published, tasks)


def gaps(covered: Sequence[Blocks], *, target: Blocks) -> Iterator[Blocks]:
    """Yield the parts of the target that no range covers; `covered` is sorted, and may overlap."""
    first, end = target
    for start, stop in covered:
        if start >= end:
            break
        if start > first:
            yield first, start
        first = max(first, stop)
    if first < end:
        yield first, end


def in_block_order(plans: Sequence[StreamPlan]) -> Iterator[tuple[DerivedStream, Blocks]]:
    """Yield the tasks of all streams, lowest blocks first; at equal blocks in the streams' order."""
    queues = [[(start, place, (start, end)) for start, end in plan.tasks] for place, plan in enumerate(plans)]
    for _, place, blocks in heapq.merge(*queues):
        yield plans[place].stream, blocks


def _cut(gap: Blocks, size: int, *, begun: Sequence[Blocks]) -> Iterator[Blocks]:
    first, end = gap
    for start, stop in begun[bisect_left(begun, (first, 0)) :]:
        if start >= end:
            break
        if start >= first and stop <= end:
            yield from _cut_evenly((first, start), size)
            yield start, stop
            first = stop
    yield from _cut_evenly((first, end), size)


def _cut_evenly(gap: Blocks, size: int) -> Iterator[Blocks]:
    for start in range(gap[0], gap[1], size):
        yield start, min(start + size, gap[1])
