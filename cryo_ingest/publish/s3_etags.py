"""ETags of S3: their forms, and whether they are digests of their objects."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

IMPOSSIBLE_ETAG = f'"{"0" * 32}"'
"""The ETag of no object: no known content has this MD5, and no store generates ETags of zeros."""


def bare(etag: str) -> str:
    """Return an ETag without quotes and without the mark of a weak ETag."""
    return etag.removeprefix("W/").strip('"')


def is_digest(etag: str) -> bool:
    """Return whether an ETag may be an MD5: 32 hexadecimal digits; a multipart upload's ETag has a suffix."""
    return re.fullmatch("[0-9a-fA-F]{32}", bare(etag)) is not None


def digest_of(body: Path | bytes) -> str:
    """Return the MD5 of an object's content, which is the ETag of a plain PUT."""
    if isinstance(body, bytes):
        return hashlib.md5(body, usedforsecurity=False).hexdigest()
    with body.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
