"""`cryo-ingest gaps`: checks a dataset's coverage from its listing. No object is read; 10,000 ranges take seconds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.audit.locations import BadReference, Location, dataset_of, expected_names, split_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryo_ingest.ports import StoredObject

DEFAULT_TASK_BLOCKS = 1000
"""The size of a task if no range is published yet."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem with a dataset's coverage of blocks `[start, end)`."""

    kind: str
    start: int
    end: int
    detail: str


@dataclass(slots=True)
class Coverage:
    """The result of a check: findings of all kinds, in block order, and the complete published versions."""

    findings: list[Finding] = field(default_factory=list)
    published: list[Location] = field(default_factory=list)
    dataset: str | None = None

    @property
    def task_blocks(self) -> int:
        """The most frequent size of the published ranges."""
        sizes = [location.range_end - location.range_start for location in self.published]
        return max(set(sizes), key=sizes.count) if sizes else DEFAULT_TASK_BLOCKS

    def missing(self, task_blocks: int | None = None) -> list[tuple[int, int]]:
        """Return the block ranges that no complete version covers, split into tasks of at most `task_blocks` blocks."""
        size = task_blocks or self.task_blocks
        spans = [(finding.start, finding.end) for finding in self.findings if finding.kind == "missing"]
        return [(start, min(start + size, end)) for first, end in spans for start in range(first, end, size)]


def check_coverage(listed: Iterable[StoredObject], *, start: int, end: int) -> Coverage:
    """Check the coverage of blocks `[start, end)` by keys and sizes alone.

    Kinds: `missing`, no complete published version; `unpublished`, files without a manifest; `incomplete`, a manifest
    without all its files; `stray`, keys that belong to no version; `duplicate`, one range published in two versions;
    `overlapping`, two published ranges that share blocks.
    """
    versions: dict[Location, dict[str, int]] = defaultdict(dict)
    coverage, strays = Coverage(), []
    for stored in listed:
        location_and_name = split_key(stored.key)
        if location_and_name is None:
            strays.append(stored.key)
            continue
        location, name = location_and_name
        if location.range_start < end and location.range_end > start:
            versions[location][name] = stored.size_bytes
    coverage.findings += [Finding("stray", start, start, key) for key in sorted(strays)]
    for location, sizes in versions.items():
        _add_version(coverage, location, sizes)
    coverage.published.sort(key=lambda location: (location.range_start, location.range_end, location.dataset_version))
    _find_overlaps(coverage)
    coverage.findings += _missing(coverage.published, start, end)
    coverage.findings.sort(key=lambda finding: (finding.start, finding.end, finding.kind, finding.detail))
    return coverage


def _add_version(coverage: Coverage, location: Location, sizes: dict[str, int]) -> None:
    start, end, version = location.range_start, location.range_end, location.dataset_version
    files = {name: size for name, size in sizes.items() if name != layout.MANIFEST_NAME}
    datasets = {dataset_of(name) for name in files} - {None}
    dataset = next(iter(datasets), None)
    coverage.dataset = coverage.dataset or dataset
    if layout.MANIFEST_NAME not in sizes:
        coverage.findings.append(Finding("unpublished", start, end, f"version {version} has files but no manifest"))
        return
    try:
        wanted = expected_names(location, dataset) if dataset is not None and len(datasets) == 1 else None
    except BadReference:
        wanted = None
    if wanted is None:
        coverage.findings.append(Finding("incomplete", start, end, f"version {version} has no recognizable files"))
        return
    missing = sorted(name for name in wanted if not files.get(name))
    if missing:
        detail = f"version {version} is missing {len(missing)} file(s); the first is {missing[0]}"
        coverage.findings.append(Finding("incomplete", start, end, detail))
        return
    strays = sorted(files.keys() - wanted)
    if strays:
        detail = f"version {version} has {len(strays)} unexpected file(s); the first is {strays[0]}"
        coverage.findings.append(Finding("stray", start, end, detail))
    coverage.published.append(location)


def _find_overlaps(coverage: Coverage) -> None:
    """Find duplicate and overlapping ranges, in one pass over the sorted versions."""
    furthest: Location | None = None
    for location in coverage.published:
        if furthest is not None and location.range_start < furthest.range_end:
            same = (location.range_start, location.range_end) == (furthest.range_start, furthest.range_end)
            kind = "duplicate" if same else "overlapping"
            detail = f"versions {furthest.dataset_version} and {location.dataset_version}"
            overlap_end = min(location.range_end, furthest.range_end)
            coverage.findings.append(Finding(kind, location.range_start, overlap_end, detail))
        if furthest is None or location.range_end > furthest.range_end:
            furthest = location


def _missing(published: list[Location], start: int, end: int) -> list[Finding]:
    findings, covered = [], start
    for location in published:
        if location.range_start > covered:
            gap_end = min(location.range_start, end)
            findings.append(Finding("missing", covered, gap_end, "no complete version is published"))
        covered = max(covered, location.range_end)
    if covered < end:
        findings.append(Finding("missing", covered, end, "no complete version is published"))
    return findings
