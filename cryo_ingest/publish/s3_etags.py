"""ETags of S3: their forms, and whether they are digests of what they name."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

IMPOSSIBLE_ETAG = f'"{"0" * 32}"'
"""No object's: the MD5 of no known content, and no store makes ETags of zeros."""


def bare(etag: str) -> str:
    """Return an ETag without quotes and without the mark of a weak one."""
    return etag.removeprefix("W/").strip('"')


def is_digest(etag: str) -> bool:
    """Tell whether an ETag may be an MD5: 32 hexadecimal digits; that of a multipart upload has a suffix."""
    return re.fullmatch("[0-9a-fA-F]{32}", bare(etag)) is not None


def digest_of(body: Path | bytes) -> str:
    """Return the MD5 that the ETag of a plain PUT is."""
    if isinstance(body, bytes):
        return hashlib.md5(body, usedforsecurity=False).hexdigest()
    with body.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
