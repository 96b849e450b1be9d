"""Checks that the stored bytes are those that were sent, before and after the manifest is written.

A store, or a proxy in front of it, may answer 200 and store other bytes. Sizes are always compared, contents if the
store's ETags are digests. If they are not (SSE-KMS, a directory), one object is read back as a sample.
"""

from __future__ import annotations

import asyncio
import filecmp
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.errors import PrefixContended, StoredBytesDiffer
from cryo_ingest.ports import Changed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryo_ingest.ports import FileProof, StoredObject
    from cryo_ingest.publish.prefix import VersionPrefix


@dataclass(frozen=True, slots=True)
class ExpectedObject:
    """The expected content of a key: the local file `body`, or another attempt's object that was proved with `etag`."""

    proof: FileProof
    body: Path | None = None
    etag: str | None = None


async def check_stored(
    prefix: VersionPrefix, stored: Mapping[str, StoredObject], *, expected: Mapping[str, ExpectedObject]
) -> None:
    """Compare a listing with the expected objects.

    Raises:
        StoredBytesDiffer: an object has other bytes.
        PrefixContended: a kept object of another attempt was replaced.
    """
    unverified: list[tuple[StoredObject, Path]] = []
    same = 0
    for key, content in expected.items():
        found = stored[key]
        if content.etag is not None and found.etag != content.etag:
            raise PrefixContended(prefix=prefix.version.prefix, reason=f"{key} was replaced")
        if found.size_bytes != content.proof.size_bytes:
            difference = f"it lists {found.size_bytes} bytes, but {content.proof.size_bytes} were sent"
            raise StoredBytesDiffer(key=key, difference=difference)
        if content.body is None:
            continue
        matches = await prefix.store.matches(found, content.body)
        if matches is False:
            raise StoredBytesDiffer(key=key, difference="its content differs from what was sent")
        if matches:
            same += 1
        else:
            unverified.append((found, content.body))
    # If no ETag is a digest, one object is a sample for all; if some are, every other ETag is suspect.
    samples = unverified if same else sorted(unverified, key=lambda pair: pair[0].size_bytes)[:1]
    for sample, body in samples:
        await _read_back(prefix, sample, body)


async def _read_back(prefix: VersionPrefix, stored: StoredObject, body: Path) -> None:
    copy = prefix.scratch / "sample.stored"
    try:
        copy.unlink(missing_ok=True)
        gone = await prefix.store.download(stored, copy) is None
        differs = not gone and not await asyncio.to_thread(filecmp.cmp, copy, body, shallow=False)
    except Changed:
        raise PrefixContended(prefix=prefix.version.prefix, reason=f"{stored.key} was replaced") from None
    finally:
        copy.unlink(missing_ok=True)
    if gone or differs:
        raise StoredBytesDiffer(key=stored.key, difference="the object read back differs from what was sent")
