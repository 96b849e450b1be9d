"""Checks one range against the caps, the same way before, during and after Cryo runs (CAP-1, CAP-5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryo_ingest.errors import CapExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryo_ingest.settings import Caps


def check_caps(caps: Caps, block_range: str, *, files: int, sizes_bytes: Mapping[str, int] | None = None) -> None:
    """Check a number of files, and sizes by file name; exactly at a cap is allowed.

    Raises:
        CapExceeded: with the variable, the limit and the value.
    """
    sizes = sizes_bytes or {}
    name, largest = max(sizes.items(), key=lambda item: item[1], default=("", 0))
    for variable, limit, actual, file in (
        ("MAX_PARQUET_FILES_PER_RANGE", caps.max_files, files, None),
        ("MAX_PARQUET_BYTES_PER_FILE", caps.max_bytes_per_file, largest, name),
        ("MAX_TOTAL_PARQUET_BYTES_PER_RANGE", caps.max_total_bytes, sum(sizes.values()), None),
    ):
        if actual > limit:
            raise CapExceeded(variable=variable, limit=limit, actual=actual, block_range=block_range, file=file)
