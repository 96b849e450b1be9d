"""Published data of others under our prefix: what any manifest there lists is theirs, however it is written (LAY-12).

Our own parser of manifests is strict, since readers are. A manifest that it rejects may all the same be somebody's way
to their data, so here any JSON will do, and every text in it that names a stored object counts.
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
"""A manifest of every chunk that uint32 block numbers allow would be larger; a cap of 256 files makes one of 50 KB."""


async def check_owner(store: ObjectStore, version: Version, stored: Mapping[str, StoredObject]) -> None:
    """Make sure that no manifest below the prefix publishes files which this version would not write.

    `stored` is a listing of the prefix. A listed file that is not there is nobody's data.

    Raises:
        DatasetMismatch: one does; nothing was replaced or deleted.
    """
    for key in sorted(stored):
        if key.rpartition("/")[2] != layout.MANIFEST_NAME:
            continue
        content = await store.read(key, max_bytes=MAX_MANIFEST_BYTES)
        if content is None:
            continue
        for listed in keys_listed(content, folder=key.removesuffix(layout.MANIFEST_NAME)):
            if listed in version.keys or listed in {key, version.prefix}:
                continue
            if listed in stored or await _is_elsewhere(store, version, listed):
                raise DatasetMismatch(manifest=key, key=listed)


def keys_listed(content: bytes, *, folder: str) -> set[str]:
    """Return every text in some JSON that may be a key, and the key that it is if relative to the manifest's folder."""
    try:
        texts = set(_texts(json.loads(content)))
    except (ValueError, RecursionError):
        return set()
    return {each for text in texts for each in (text, folder + text, _without_bucket(text)) if each}


async def _is_elsewhere(store: ObjectStore, version: Version, key: str) -> bool:
    """Tell whether a Parquet file that lies outside the prefix exists: whoever lists it there has published it."""
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
    """Return the key in `s3://bucket/key`; empty for any other text."""
    scheme, separator, rest = text.partition("://")
    return rest.partition("/")[2] if separator and scheme in {"s3", "s3a"} else ""
