"""The user metadata of a directory store: one JSON file per key in a hidden folder at the root.

They are not below a version's prefix, which readers glob and which holds only the manifest and its files (LAY-6).
Metadata are written before the file that they describe. If a crash separates the two, the recorded checksum does not
match the file, and the next attempt replaces it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = ".cryo_ingest_metadata"
"""The hidden folder; below it a key has its own path, with the suffix `.json`."""
MAX_METADATA_BYTES = 64 * 1024
"""Many times the size of the metadata that an attempt writes; a larger file is not ours."""


def metadata_key(key: str) -> str:
    """Return the path of a key's metadata, relative to the root."""
    return f"{FOLDER}/{key}.json"


def to_bytes(metadata: Mapping[str, str]) -> bytes:
    """Return the content of a metadata file."""
    return (json.dumps(dict(metadata), sort_keys=True) + "\n").encode()


def read_metadata(root: Path, key: str) -> dict[str, str]:
    """Return a key's metadata; empty if they are missing or unreadable."""
    try:
        with (root / metadata_key(key)).open("rb") as file:
            value = json.loads(file.read(MAX_METADATA_BYTES))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}
