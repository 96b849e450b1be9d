"""Brings proved files into the store, then the manifest: create-only, adopting what is whole, last things last.

Another attempt may be doing the same on the same prefix. Both write the same names; whole data that is stored is never
replaced; so whoever comes second adopts (LAY-10).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cryo_ingest.errors import IngestError, PrefixContended
from cryo_ingest.model import parse_manifest
from cryo_ingest.ports import AlreadyStored, Changed
from cryo_ingest.publish.version import LARGEST_MANIFEST_BYTES, ROUNDS, judge, make_exact, refuse_other_mode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryo_ingest.ports import ExtractedFile, Extraction, FileProof, ObjectStore, Proof
    from cryo_ingest.publish.version import Judged, Version

BYTES_IN_FLIGHT = 64 * 1024**2
"""How much is on its way at once; a larger file goes alone. Files share the uplink, so more would gain nothing."""

FILES_IN_FLIGHT = 8

EVIDENCE_LEVELS = ("rows", "chain", "receipts")


async def publish_files(
    store: ObjectStore,
    version: Version,
    extraction: Extraction,
    *,
    proof: Proof,
    spool: Path,
    metadata: Mapping[str, str],
) -> None:
    """Upload a range, delete leftovers, write the manifest, return when the prefix is exact (LAY-5).

    `metadata` is added to what each object says of itself; `spool` holds copies of stored objects being judged.

    Raises:
        ModeMismatch: data of the other mode has turned up under the prefix.
        PrefixContended: another writer keeps changing it.
        StoreDenied, StoreUnfit, NoSuchBucket, StoreUnavailable: the store's own faults.
    """
    budget = _Budget(BYTES_IN_FLIGHT, FILES_IN_FLIGHT)

    async def upload(file: ExtractedFile) -> None:
        async with budget.of(file.proof.size_bytes):
            await store_file(store, version, file, proof=proof, spool=spool, metadata=metadata)

    try:
        async with asyncio.TaskGroup() as group:
            for file in extraction.files:
                group.create_task(upload(file))
    except* IngestError as failures:
        first = failures.exceptions[0]
    else:
        await make_exact(store, version, frozenset(version.manifest.parquet_keys), proof=proof)
        await store_manifest(store, version)
        await make_exact(store, version, version.keys, proof=proof)
        return
    raise first


async def store_file(
    store: ObjectStore,
    version: Version,
    file: ExtractedFile,
    *,
    proof: Proof,
    spool: Path,
    metadata: Mapping[str, str],
) -> None:
    """Create one object, or adopt the whole one that is stored, or replace the broken one.

    An adopted object whose metadata do not tell the truth (LAY-8) is stored again with its own bytes and true metadata.
    """
    key = version.key(file.chunk)
    for _ in range(ROUNDS):
        try:
            await store.create(key, file.path, metadata=facts(file.proof, metadata))
        except AlreadyStored:
            pass
        else:
            return
        stored = (await store.list(version.prefix)).get(key)
        if stored is None:
            continue
        await refuse_other_mode(store, version, [stored], proof=proof)
        judged = await judge(store, version, file.chunk, proof=proof, spool=spool)
        body, told = file.path, facts(file.proof, metadata)
        if judged is not None and await _equal(judged, file, proof):
            if not store.keeps_metadata or tells_the_truth(judged):
                judged.copy.unlink()
                return
            body, told = judged.copy, facts(judged.proof, metadata)
        try:
            await store.replace(key, body, metadata=told, etag=stored.etag)
        except Changed:
            continue
        finally:
            if judged is not None:
                judged.copy.unlink(missing_ok=True)
        return
    raise PrefixContended(prefix=version.prefix, reason=f"{key} changes whenever it is looked at")


async def store_manifest(store: ObjectStore, version: Version) -> None:
    """Create the manifest, or keep the equal one that is stored, or replace another one (LAY-7)."""
    for _ in range(ROUNDS):
        try:
            await store.create(version.manifest_key, version.manifest.to_bytes(), metadata={})
        except AlreadyStored:
            pass
        else:
            return
        stored = (await store.list(version.prefix)).get(version.manifest_key)
        if stored is None:
            continue
        content = await store.read(version.manifest_key, max_bytes=LARGEST_MANIFEST_BYTES)
        if content is not None and parse_manifest(content) == version.manifest:
            return
        try:
            await store.replace(version.manifest_key, version.manifest.to_bytes(), metadata={}, etag=stored.etag)
        except Changed:
            continue
        return
    raise PrefixContended(prefix=version.prefix, reason="the manifest changes whenever it is looked at")


def facts(seen: FileProof, more: Mapping[str, str]) -> dict[str, str]:
    """Return the user metadata of an object (LAY-8)."""
    return {
        "sha256": seen.sha256,
        "rows": str(seen.rows),
        "block-min": "" if seen.block_min is None else str(seen.block_min),
        "block-max": "" if seen.block_max is None else str(seen.block_max),
        "evidence": seen.evidence,
        **more,
    }


def tells_the_truth(judged: Judged) -> bool:
    """Tell whether a stored object's metadata say of its bytes what was just proved of them, or a higher level."""
    expected = facts(judged.proof, {})
    wanted = EVIDENCE_LEVELS.index(expected.pop("evidence"))
    recorded = judged.metadata.get("evidence")
    if recorded not in EVIDENCE_LEVELS[wanted:]:
        return False
    return all(judged.metadata.get(name, "") == value for name, value in expected.items())


async def _equal(judged: Judged, file: ExtractedFile, proof: Proof) -> bool:
    """Tell whether a stored object holds the rows of our own file, in whatever order (LAY-10)."""
    return judged.proof.sha256 == file.proof.sha256 or await proof.same_rows(judged.copy, file.path)


class _Budget:
    """Lets uploads begin while both their number and their bytes are below a limit; a larger one goes alone."""

    def __init__(self, bytes_limit: int, files_limit: int) -> None:
        self._bytes_limit, self._files_limit = bytes_limit, files_limit
        self._bytes = self._files = 0
        self._changed = asyncio.Condition()

    def of(self, size_bytes: int) -> _Share:
        return _Share(self, size_bytes)

    async def take(self, size_bytes: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._fits(size_bytes))
            self._bytes += size_bytes
            self._files += 1

    async def give_back(self, size_bytes: int) -> None:
        async with self._changed:
            self._bytes -= size_bytes
            self._files -= 1
            self._changed.notify_all()

    def _fits(self, size_bytes: int) -> bool:
        fits = self._bytes + size_bytes <= self._bytes_limit and self._files < self._files_limit
        return fits or self._files == 0


class _Share:
    def __init__(self, budget: _Budget, size_bytes: int) -> None:
        self._budget, self._size_bytes = budget, size_bytes

    async def __aenter__(self) -> None:
        await self._budget.take(self._size_bytes)

    async def __aexit__(self, *_: object) -> None:
        await self._budget.give_back(self._size_bytes)
