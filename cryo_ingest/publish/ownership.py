"""Protects published data of other datasets below the prefix: all files that a manifest there lists (LAY-12).

The parser of manifests is strict, since readers are. A manifest that it rejects may still refer to published data. So
any JSON is accepted as a manifest here, and every string in it that is the key of a stored object is protected.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.errors import DatasetMismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryo_ingest.ports import ObjectStore, StoredObject
    from cryo_ingest.publish.version import Version

MAX_MANIFEST_BYTES = 64 * 1024**2
"""More than any manifest needs: one with the default cap of 256 files has 50 KB."""


async def check_owner(store: ObjectStore, version: Version, *, stored: Mapping[str, StoredObject]) -> None:
    """Check that no manifest below the prefix lists files that this version does not write.

    `stored` is a listing of the prefix. A file in a manifest that does not exist is ignored.

    Raises:
        DatasetMismatch: a manifest lists such a file; nothing was replaced or deleted.
    """
    for key in sorted(stored):
        if key.rpartition("/")[2] != layout.MANIFEST_NAME:
            continue
        content = await store.read(key, max_bytes=MAX_MANIFEST_BYTES)
        if content is None:
            continue
        for listed in listed_keys(content, folder=key.removesuffix(layout.MANIFEST_NAME)):
            if listed in version.keys or listed in {key, version.prefix}:
                continue
            if listed in stored or await _is_elsewhere(store, version, listed):
                raise DatasetMismatch(manifest=key, key=listed)


def listed_keys(content: bytes, *, folder: str) -> set[str]:
    """Return all strings in some JSON that may be keys, absolute or relative to the manifest's folder."""
    try:
        texts = set(_texts(json.loads(content)))
    except (ValueError, RecursionError):
        return set()
    return {key for text in texts for key in (text, folder + text, _without_bucket(text)) if key}


async def _is_elsewhere(store: ObjectStore, version: Version, key: str) -> bool:
    """Return whether a key outside the prefix is an existing Parquet file, which the manifest then publishes."""
    folder, separator, _ = key.rpartition("/")
    outside = separator and key.endswith(".parquet") and not key.startswith(version.prefix)
    if not outside or not key.startswith("cryo/"):
        return False
    return key in await store.list(f"{folder}/")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _without_bucket(text: str) -> str:
    """Return the key in `s3://bucket/key`; an empty string for any other text."""
    scheme, separator, rest = text.partition("://")
    return rest.partition("/")[2] if separator and scheme in {"s3", "s3a"} else ""
