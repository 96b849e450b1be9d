"""Estimates the rows and bytes of a stream's missing tasks from samples at some heights. Pure functions.

Rows per block are interpolated between the samples, since chains grow. The bytes of a file are a constant, for its
footer, and a number of bytes per row; both are fitted to the samples, which have two sizes for that.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryo_ingest.sync.derived import Blocks

HEIGHTS = 5
SMALLER = 4
"""Every second sample has this fraction of the blocks."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What an attempt at some blocks has written, in one file."""

    blocks: Blocks
    rows: int
    size_bytes: int

    @property
    def middle(self) -> float:
        """The middle of the blocks."""
        return (self.blocks[0] + self.blocks[1]) / 2

    @property
    def density(self) -> float:
        """The rows per block."""
        return self.rows / (self.blocks[1] - self.blocks[0])


@dataclass(frozen=True, slots=True)
class Estimate:
    """The rows and bytes that tasks will write."""

    rows: int
    size_bytes: int


def sample_ranges(tasks: Sequence[Blocks], *, size: int) -> list[Blocks]:
    """Return the blocks to sample: at `HEIGHTS` heights over the tasks, each within one file of a task."""
    total = sum(end - start for start, end in tasks)
    ranges = []
    for number in range(HEIGHTS):
        start, end = _file_at(tasks, int(total * (number + 0.5) / HEIGHTS))
        wanted = size if number % 2 == 0 else max(1, size // SMALLER)
        ranges.append((start, min(start + wanted, end)))
    return sorted(set(ranges))


def _file_at(tasks: Sequence[Blocks], offset: int) -> Blocks:
    """Return the blocks from the one at an offset to the end of its file."""
    for start, end in tasks:
        if offset < end - start:
            first = start + offset
            return first, min(end, first + layout.CHUNK_BLOCKS)
        offset -= end - start
    raise ValueError(offset)


def estimate(tasks: Sequence[Blocks], samples: Sequence[Sample]) -> Estimate:
    """Return the estimate for tasks; there is at least one sample."""
    fixed, per_row = fit_bytes(samples)
    ordered = sorted(samples, key=lambda each: each.middle)
    rows, files = 0.0, 0
    for start, end in tasks:
        rows += density_at(ordered, (start + end) / 2) * (end - start)
        files += -(-(end - start) // layout.CHUNK_BLOCKS)
    return Estimate(round(rows), round(files * fixed + rows * per_row))


def density_at(ordered: Sequence[Sample], height: float) -> float:
    """Return the rows per block at a height: on the line between two samples, also beyond the outer ones."""
    if len(ordered) == 1:
        return ordered[0].density
    place = bisect_left([each.middle for each in ordered], height)
    left, right = ordered[max(0, min(place, len(ordered) - 1) - 1)], ordered[max(1, min(place, len(ordered) - 1))]
    slope = (right.density - left.density) / (right.middle - left.middle)
    return max(0.0, left.density + slope * (height - left.middle))


def fit_bytes(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return the bytes of a file without rows and the bytes per row, by least squares; neither is negative."""
    count = len(samples)
    rows = sum(each.rows for each in samples) / count
    size = sum(each.size_bytes for each in samples) / count
    spread = sum((each.rows - rows) ** 2 for each in samples)
    if not spread:
        return (0.0, size / rows) if rows else (size, 0.0)
    slope = sum((each.rows - rows) * (each.size_bytes - size) for each in samples) / spread
    slope = max(0.0, min(slope, size / rows))
    return size - slope * rows, slope
