"""Opens the store of a URL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cryo_ingest.publish.directory import DirectoryStore
from cryo_ingest.publish.s3 import S3ObjectStore

if TYPE_CHECKING:
    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.settings import S3Settings

BUCKET_PATTERN = r"[A-Za-z0-9._-]+"
"""Less strict than S3's rule, which the store checks; strict enough for a URL."""


def open_store(url: str, s3: S3Settings) -> S3ObjectStore | DirectoryStore:
    """Return the store of `s3://bucket` or `file:///absolute/directory`; sends no request and creates nothing.

    Raises:
        ValueError: the URL has another form.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "s3" and separator and re.fullmatch(BUCKET_PATTERN, rest.removesuffix("/")):
        return S3ObjectStore(rest.removesuffix("/"), s3)
    if scheme == "file" and separator:
        path = unquote(rest)
        if path.startswith("/") and "\0" not in path and path.strip("/"):
            return DirectoryStore(Path(path))
    message = "must be s3://bucket or file:///absolute/directory, without a key"
    raise ValueError(message)


def check_writable(store: ObjectStore) -> None:
    """Check that a directory can be published to, before Cryo runs. An S3 store is first listed in the attempt.

    Raises:
        StoreDenied, StoreUnavailable: it can't.
    """
    if isinstance(store, DirectoryStore):
        store.check_writable()
