"""The local disk that stored objects are downloaded to; its errors are not the store's."""

from __future__ import annotations

import errno
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryo_ingest.errors import DiskFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def size_of(body: Path | bytes) -> int:
    """Return the size of an object's content."""
    return len(body) if isinstance(body, bytes) else body.stat().st_size


@contextmanager
def writing_copy(copy: Path, needed_bytes: int) -> Iterator[None]:
    """Raise DiskFull if the disk has no room for a copy of this size (STG-7)."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        free = shutil.disk_usage(copy.parent).free
        raise DiskFull(path=copy.parent, free_bytes=free, needed_bytes=needed_bytes) from None
