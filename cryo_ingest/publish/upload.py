"""Brings proved files into the store, then the manifest: create-only, adopting what is whole, last things last.

Another attempt may be doing the same on the same prefix. Both write the same names; whole data that is stored is never
replaced; so whoever comes second adopts (LAY-10). How much is on its way at once is `budget.py`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.errors import FatalError, IngestError, PrefixContended
from cryo_ingest.levels import at_least
from cryo_ingest.model import parse_manifest
from cryo_ingest.ports import AlreadyStored, Changed
from cryo_ingest.publish.budget import BYTES_IN_FLIGHT, FILES_IN_FLIGHT, Budget
from cryo_ingest.publish.version import (
    LARGEST_MANIFEST_BYTES,
    ROUNDS,
    find_published,
    judge,
    make_exact,
    refuse_other_mode,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cryo_ingest.ports import ExtractedFile, Extraction, FileProof, ObjectStore, Proof
    from cryo_ingest.publish.version import Judged, Version


@dataclass(frozen=True, slots=True)
class Upload:
    """One attempt's publishing: where to, how stored objects are judged, and what each object says besides its facts.

    `judging` lets one stored object at a time onto the local disk.
    """

    store: ObjectStore
    version: Version
    proof: Proof
    spool: Path
    metadata: Mapping[str, str]
    judging: asyncio.Lock = field(default_factory=asyncio.Lock)


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

    Where another attempt has published the version meanwhile, it stands and our files are dropped. `metadata` is
    added to what each object says of itself; `spool` holds the copy of a stored object being judged.

    Raises:
        ModeMismatch: data of the other mode has turned up under the prefix.
        PrefixContended: another writer keeps changing it.
        StoreDenied, StoreUnfit, NoSuchBucket, UnmanageableKey, StoreUnavailable, DiskFull: the store's own faults, or
            the local disk's; a fatal one goes first.
    """
    upload = Upload(store, version, proof, spool, metadata)
    if await find_published(store, version, proof=proof, spool=spool):
        return
    torn = version.manifest_key in await store.list(version.prefix)
    disputed = await store_files(upload, extraction.files, over_torn_version=torn)
    if disputed:
        if await find_published(store, version, proof=proof, spool=spool):
            return
        await store_files(upload, disputed, over_torn_version=True)
    await make_exact(store, version, frozenset(version.manifest.parquet_keys), proof=proof)
    await store_manifest(store, version)
    await make_exact(store, version, version.keys, proof=proof)


async def store_files(
    upload: Upload, files: Iterable[ExtractedFile], *, over_torn_version: bool = False
) -> list[ExtractedFile]:
    """Store files side by side and return those that stand against a version with a manifest (see `store_file`)."""
    budget = Budget(BYTES_IN_FLIGHT, FILES_IN_FLIGHT)
    disputed: list[ExtractedFile] = []

    async def store_one(file: ExtractedFile) -> None:
        async with budget.of(file.proof.size_bytes):
            if not await store_file(upload, file, over_torn_version=over_torn_version):
                disputed.append(file)

    try:
        async with asyncio.TaskGroup() as group:
            for file in files:
                group.create_task(store_one(file))
    except* IngestError as failures:
        faults = failures.exceptions
        first = next((fault for fault in faults if isinstance(fault, FatalError)), faults[0])
    else:
        return disputed
    raise first


async def store_file(upload: Upload, file: ExtractedFile, *, over_torn_version: bool = False) -> bool:
    """Create one object, or adopt the whole one that is stored, or replace the broken one.

    False, with nothing changed, where a whole object of other rows is stored and a manifest beside it: another attempt
    may have published them. That is for the caller to find out; if the version turned out torn, `over_torn_version`
    replaces them.
    """
    store, version, key = upload.store, upload.version, upload.version.key(file.chunk)
    for _ in range(ROUNDS):
        try:
            await store.create(key, file.path, metadata=facts(file.proof, upload.metadata))
        except AlreadyStored:
            pass
        else:
            return True
        listed = await store.list(version.prefix)
        if key not in listed:
            continue
        await refuse_other_mode(store, version, [listed[key]], proof=upload.proof)
        async with upload.judging:
            try:
                judged = await judge(store, version, file.chunk, listed[key], proof=upload.proof, spool=upload.spool)
                if judged is not None and not await _equal(judged, file, upload.proof):
                    judged.copy.unlink()
                    if version.manifest_key in listed and not over_torn_version:
                        return False
                    judged = None
                await _settle(upload, file, judged, etag=listed[key].etag)
            except Changed:
                continue
        return True
    raise PrefixContended(prefix=version.prefix, reason=f"{key} changes whenever it is looked at")


async def _settle(upload: Upload, file: ExtractedFile, judged: Judged | None, *, etag: str) -> None:
    """Replace a broken object, or adopt a whole one.

    An adopted object whose metadata do not tell the truth (LAY-8) is stored again with its own bytes and true metadata.

    Raises:
        Changed: the object that was judged is no longer there.
    """
    key = upload.version.key(file.chunk)
    if judged is None:
        await upload.store.replace(key, file.path, metadata=facts(file.proof, upload.metadata), etag=etag)
        return
    try:
        if upload.store.keeps_metadata and not tells_the_truth(judged):
            told = facts(judged.proof, upload.metadata)
            await upload.store.replace(key, judged.copy, metadata=told, etag=etag)
    finally:
        judged.copy.unlink()


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
    """Return the user metadata of an object (LAY-8); what was proved goes before whatever else is said."""
    details = {f"evidence-{name}": value for name, value in seen.details.items()}
    return dict(more) | details | _facts_of_bytes(seen) | {"evidence": seen.evidence}


def _facts_of_bytes(seen: FileProof) -> dict[str, str]:
    return {
        "sha256": seen.sha256,
        "rows": str(seen.rows),
        "block-min": "" if seen.block_min is None else str(seen.block_min),
        "block-max": "" if seen.block_max is None else str(seen.block_max),
    }


def untrue_facts(metadata: Mapping[str, str], seen: FileProof) -> list[str]:
    """Name the metadata that say of an object's bytes what is not so (LAY-8); its evidence is not among them."""
    return [name for name, value in _facts_of_bytes(seen).items() if metadata.get(name, "") != value]


def tells_the_truth(judged: Judged) -> bool:
    """Tell whether a stored object's metadata say of its bytes what was just proved of them, or a higher level."""
    recorded = judged.metadata.get("evidence")
    return recorded in at_least(judged.proof.evidence) and not untrue_facts(judged.metadata, judged.proof)


async def _equal(judged: Judged, file: ExtractedFile, proof: Proof) -> bool:
    """Tell whether a stored object holds the rows of our own file, in whatever order (LAY-10)."""
    return judged.proof.sha256 == file.proof.sha256 or await proof.same_rows(judged.copy, file.path)
