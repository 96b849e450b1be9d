"""What a store has of a stream: complete ranges, and ranges that an attempt began and did not publish.

Only the listing is read. A range is complete if its version has a manifest and all files that the version consists of,
none of them empty: the manifest is written last (LAY-5), and its content follows from the version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from cryo_ingest import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryo_ingest.ports import ObjectStore, StoredObject
    from cryo_ingest.sync.derived import Blocks, DerivedStream

RANGE = re.compile(r"(0|[1-9][0-9]{0,9})_([1-9][0-9]{0,9})")


@dataclass(frozen=True, slots=True)
class Published:
    """The ranges of one stream in a store, in block order.

    `unfinished` are versions of this stream with files but without a manifest, or with a manifest and not all files.
    `other_versions` counts versions with another `config_hash`, and `strays` keys that belong to no version.
    """

    complete: tuple[Blocks, ...] = ()
    unfinished: tuple[Blocks, ...] = ()
    other_versions: int = 0
    strays: int = 0


async def list_published(store: ObjectStore, stream: DerivedStream) -> Published:
    """List the ranges of a stream.

    Raises:
        IngestError: the store failed.
    """
    return published_in(await store.list(stream.prefix), stream)


def published_in(listed: Mapping[str, StoredObject], stream: DerivedStream) -> Published:
    """Return the ranges in a listing of `stream.prefix`."""
    complete, unfinished, others, strays = [], [], 0, 0
    for folder, keys in groupby(sorted(listed), key=lambda key: key.rpartition("/")[0]):
        blocks, version = _parse_folder(folder.removeprefix(stream.prefix))
        if blocks is None:
            strays += sum(1 for _ in keys)
        elif version != stream.dataset_version(blocks):
            others += 1
        elif _is_complete(keys, listed, expected=(*stream.file_names(blocks), layout.MANIFEST_NAME)):
            complete.append(blocks)
        else:
            unfinished.append(blocks)
    return Published(tuple(sorted(complete)), tuple(sorted(unfinished)), others, strays)


def _parse_folder(folder: str) -> tuple[Blocks | None, str]:
    """Parse `{start}_{end}/{version}`; None if the folder is not a version's."""
    block_range, _, version = folder.partition("/")
    match = RANGE.fullmatch(block_range)
    if match is None or not version or "/" in version or int(match[1]) >= int(match[2]):
        return None, ""
    return (int(match[1]), int(match[2])), version


def _is_complete(keys: Iterable[str], listed: Mapping[str, StoredObject], *, expected: tuple[str, ...]) -> bool:
    names = {key.rpartition("/")[2] for key in keys if listed[key].size_bytes > 0}
    return names.issuperset(expected)
