"""`cryo-ingest gaps`: a dataset's coverage from its listing alone: no object is read, 10,000 ranges take seconds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.audit.locations import BadReference, Location, dataset_of, names_called_for, split_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryo_ingest.ports import StoredObject

USUAL_BLOCKS = 1000
"""The width of a task where nothing is published yet to learn it from."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that is wrong with a dataset's coverage of blocks `[start, end)`."""

    kind: str
    start: int
    end: int
    detail: str


@dataclass(slots=True)
class Coverage:
    """What a listing shows: gaps of every kind, in block order, and the whole ranges that are published."""

    gaps: list[Gap] = field(default_factory=list)
    published: list[Location] = field(default_factory=list)
    dataset: str | None = None

    @property
    def usual_blocks(self) -> int:
        """The width that most published ranges have."""
        widths = [location.range_end - location.range_start for location in self.published]
        return max(set(widths), key=widths.count) if widths else USUAL_BLOCKS

    def missing(self) -> list[tuple[int, int]]:
        """List the blocks that no whole version covers, split into tasks of the usual width."""
        width = self.usual_blocks
        spans = [(gap.start, gap.end) for gap in self.gaps if gap.kind == "missing"]
        return [(start, min(start + width, end)) for first, end in spans for start in range(first, end, width)]


def survey(listed: Iterable[StoredObject], *, start: int, end: int) -> Coverage:
    """Judge the coverage of blocks `[start, end)` by keys and sizes alone.

    Kinds: `missing`, no whole published version covers it; `unpublished`, files without a manifest; `torn`, a manifest
    without all its files; `stray`, keys that no version has; `doubled`, one range published in two versions;
    `overlapping`, two published ranges that share blocks.
    """
    versions: dict[Location, dict[str, int]] = defaultdict(dict)
    coverage, strays = Coverage(), []
    for stored in listed:
        split = split_key(stored.key)
        if split is None:
            strays.append(stored.key)
        elif split[0].range_start < end and split[0].range_end > start:
            versions[split[0]][split[1]] = stored.size_bytes
    coverage.gaps += [Gap("stray", start, start, key) for key in sorted(strays)]
    for location, sizes in versions.items():
        _judge_version(coverage, location, sizes)
    coverage.published.sort(key=lambda location: (location.range_start, location.range_end, location.dataset_version))
    _judge_neighbours(coverage)
    coverage.gaps += _missing(coverage.published, start, end)
    coverage.gaps.sort(key=lambda gap: (gap.start, gap.end, gap.kind, gap.detail))
    return coverage


def _judge_version(coverage: Coverage, location: Location, sizes: dict[str, int]) -> None:
    start, end, version = location.range_start, location.range_end, location.dataset_version
    files = {name: size for name, size in sizes.items() if name != layout.MANIFEST_NAME}
    datasets = {dataset_of(name) for name in files} - {None}
    dataset = next(iter(datasets), None)
    coverage.dataset = coverage.dataset or dataset
    if layout.MANIFEST_NAME not in sizes:
        coverage.gaps.append(Gap("unpublished", start, end, f"version {version} has files and no manifest"))
        return
    try:
        wanted = names_called_for(location, dataset) if dataset is not None and len(datasets) == 1 else None
    except BadReference:
        wanted = None
    if wanted is None:
        coverage.gaps.append(Gap("torn", start, end, f"version {version} has no files that can be told"))
        return
    lost = sorted(name for name in wanted if not files.get(name))
    if lost:
        coverage.gaps.append(Gap("torn", start, end, f"version {version} lacks {len(lost)} files, first {lost[0]}"))
        return
    strays = sorted(files.keys() - wanted)
    if strays:
        coverage.gaps.append(Gap("stray", start, end, f"version {version} holds {strays[0]}"))
    coverage.published.append(location)


def _judge_neighbours(coverage: Coverage) -> None:
    """Find ranges published twice and ranges that overlap, in one pass over those that are sorted."""
    furthest: Location | None = None
    for location in coverage.published:
        if furthest is not None and location.range_start < furthest.range_end:
            same = (location.range_start, location.range_end) == (furthest.range_start, furthest.range_end)
            kind = "doubled" if same else "overlapping"
            detail = f"versions {furthest.dataset_version} and {location.dataset_version}"
            border = min(location.range_end, furthest.range_end)
            coverage.gaps.append(Gap(kind, location.range_start, border, detail))
        if furthest is None or location.range_end > furthest.range_end:
            furthest = location


def _missing(published: list[Location], start: int, end: int) -> list[Gap]:
    gaps, covered = [], start
    for location in published:
        if location.range_start > covered:
            gaps.append(Gap("missing", covered, min(location.range_start, end), "no whole version is published"))
        covered = max(covered, location.range_end)
    if covered < end:
        gaps.append(Gap("missing", covered, end, "no whole version is published"))
    return gaps
