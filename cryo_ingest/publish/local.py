"""The local disk that stored objects are downloaded to; its errors are not the store's."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from cryo_ingest.errors import DiskFull

if TYPE_CHECKING:
    from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def size_of(body: Path | bytes) -> int:
    """Return the size of an object's content."""
    return len(body) if isinstance(body, bytes) else body.stat().st_size


def disk_full(copy: Path, needed_bytes: int) -> DiskFull:
    """Return the error of a disk without room for a copy of this size (STG-7)."""
    return DiskFull(path=copy.parent, free_bytes=shutil.disk_usage(copy.parent).free, needed_bytes=needed_bytes)
