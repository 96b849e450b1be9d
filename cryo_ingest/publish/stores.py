"""Picks the store that a URL names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cryo_ingest.publish.directory import DirectoryStore
from cryo_ingest.publish.s3 import S3ObjectStore

if TYPE_CHECKING:
    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.settings import S3Settings


def open_store(url: str, s3: S3Settings) -> ObjectStore:
    """Return the store of `s3://bucket` or `file:///absolute/directory`; nothing is contacted or made yet.

    Raises:
        ValueError: the URL is neither.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "s3" and separator and rest.strip("/") and "/" not in rest.rstrip("/"):
        return S3ObjectStore(rest.rstrip("/"), s3)
    if scheme == "file" and separator:
        path = unquote(rest)
        if path.startswith("/") and "\0" not in path and path.strip("/"):
            return DirectoryStore(Path(path))
    message = "must be s3://bucket or file:///absolute/directory, without a key: the contract names those"
    raise ValueError(message)
