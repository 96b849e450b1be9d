"""Chooses what to read of a dataset so that each block is read once, although ranges can be published repeatedly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from cryo_ingest import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryo_ingest.audit.catalog import CatalogVersion


@dataclass(frozen=True, slots=True)
class Part:
    """A version, and the blocks `[start, end)` to read from it."""

    version: CatalogVersion
    start: int
    end: int

    @property
    def is_whole(self) -> bool:
        """Whether all blocks of the version are read."""
        return (self.start, self.end) == self.version.blocks


def has_config_hash(version: CatalogVersion, config_hash: str) -> bool:
    """Return whether a version has this `config_hash`; it is not stored, so the version is computed from it (VER-2)."""
    location = version.location
    computed = layout.version_of(location.dataset_uuid, config_hash, chain_id=location.chain_id, blocks=version.blocks)
    return location.dataset_version == computed


def choose_parts(versions: Iterable[CatalogVersion]) -> list[Part]:
    """Return the parts of a dataset's versions in block order, without a block that is in two of them.

    Where ranges overlap, the one that begins first is read to its end; of equal starts, the longest.
    """
    parts: list[Part] = []
    next_block = 0
    in_order = sorted(versions, key=lambda each: (each.blocks[0], -each.blocks[1], each.location.dataset_version))
    for version in in_order:
        start, end = max(version.blocks[0], next_block), version.blocks[1]
        if start < end:
            parts.append(Part(version, start, end))
            next_block = end
    return parts


def holes(parts: Sequence[Part]) -> list[tuple[int, int]]:
    """Return the block ranges between parts that no part has."""
    return [(before.end, after.start) for before, after in pairwise(parts) if before.end < after.start]
