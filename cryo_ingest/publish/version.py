"""Where one dataset version lies in a store, and whether it is there already, whole.

Judging a stored object means downloading it and proving it as if Cryo had just written it: nothing that is recorded
about an object counts before its bytes match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.errors import ModeMismatch, PrefixContended, ProofFailed, SchemaDrift
from cryo_ingest.logs import log
from cryo_ingest.model import make_manifest, parse_manifest
from cryo_ingest.ports import Changed
from cryo_ingest.settings import SINGLE_PUT_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cryo_ingest.layout import Chunk
    from cryo_ingest.model import Manifest, Task
    from cryo_ingest.ports import FileProof, ObjectStore, Proof, StoredObject

ROUNDS = 5
"""How often a key or the prefix is looked at again before another writer is held to be at work there."""

LARGEST_MANIFEST_BYTES = 64 * 1024**2
"""A manifest of every chunk that uint32 block numbers allow would be larger; a cap of 256 files makes one of 50 KB."""

FOOTER_BYTES = 256 * 1024
"""More than the footer of any of Cryo's files (the largest golden one has 10 KB)."""


@dataclass(frozen=True, slots=True)
class Version:
    """One dataset version's place: its prefix, the chunk that each key must hold, and its manifest."""

    dataset_version: str
    prefix: str
    chunks: tuple[Chunk, ...]
    manifest: Manifest
    mode: str

    @classmethod
    def of(cls, task: Task, *, mode: str) -> Version:
        """Compute the place of a task's output; every attempt computes the same."""
        prefix, chunks = layout.prefix(task), layout.chunks(task)
        manifest = make_manifest(
            dataset_uuid=task.dataset_uuid,
            dataset_version=layout.dataset_version(task),
            parquet_keys=(prefix + chunk.name for chunk in chunks),
        )
        return cls(layout.dataset_version(task), prefix, chunks, manifest, mode)

    @property
    def manifest_key(self) -> str:
        """The key of the manifest."""
        return self.prefix + layout.MANIFEST_NAME

    @property
    def keys(self) -> frozenset[str]:
        """Every key that the finished version has, the manifest's included."""
        return frozenset({*self.manifest.parquet_keys, self.manifest_key})

    def key(self, chunk: Chunk) -> str:
        """The key of a chunk's file."""
        return self.prefix + chunk.name


@dataclass(frozen=True, slots=True)
class Judged:
    """A stored object that proved whole: its local copy, what was proved, and the metadata recorded with it."""

    copy: Path
    proof: FileProof
    metadata: Mapping[str, str]


async def find_published(store: ObjectStore, version: Version, *, proof: Proof, spool: Path) -> bool:
    """Tell whether the version is in the store with its manifest, whole; if so, rid the prefix of leftovers (LAY-10).

    Nothing is changed where it is not. `spool` is a directory for downloads, one at a time, each deleted afterwards.

    Raises:
        ModeMismatch: the prefix holds data of the other mode (LAY-11).
        PrefixContended: leftovers keep coming back.
        StoreDenied, NoSuchBucket, UnmanageableKey, StoreUnavailable, DiskFull: as the store's own operations.
    """
    stored = await store.list(version.prefix)
    await refuse_other_mode(store, version, stored.values(), proof=proof)
    if version.manifest_key not in stored:
        return False
    content = await store.read(version.manifest_key, max_bytes=LARGEST_MANIFEST_BYTES)
    if content is None or parse_manifest(content) != version.manifest:
        return False
    if not stored.keys() >= version.keys:
        return False
    for chunk in version.chunks:
        try:
            judged = await judge(store, version, chunk, stored[version.key(chunk)], proof=proof, spool=spool)
        except Changed:
            return False
        if judged is None:
            return False
        judged.copy.unlink()
    await make_exact(store, version, version.keys, proof=proof)
    log.info("version.adopted", prefix=version.prefix, files=len(version.chunks))
    return True


async def judge(
    store: ObjectStore, version: Version, chunk: Chunk, stored: StoredObject, *, proof: Proof, spool: Path
) -> Judged | None:
    """Download a chunk's stored object as it was listed and prove it; None where it is gone or not whole.

    One that no single PUT could have made is no attempt's work, so it is not even downloaded. The copy of a whole one
    is the caller's to delete.

    Raises:
        ModeMismatch: it is data of the other mode.
        Changed: it is no longer the object that was listed.
    """
    if stored.size_bytes > SINGLE_PUT_LIMIT_BYTES:
        return None
    copy = (spool / chunk.name).with_suffix(".stored")
    copy.unlink(missing_ok=True)
    whole = None
    try:
        metadata = await store.download(stored, copy)
        if metadata is not None:
            seen = await proof.prove(copy, chunk)
            if seen.fake is (version.mode == "real"):
                raise _other_mode(version, stored.key, fake=seen.fake)
            if metadata.get("sha256", seen.sha256) == seen.sha256:
                recorded = metadata if "sha256" in metadata else None
                seen = await proof.confirm(copy, chunk, seen, recorded=recorded)
                whole = Judged(copy, seen, metadata)
    except (ProofFailed, SchemaDrift):
        pass
    finally:
        if whole is None:
            copy.unlink(missing_ok=True)
    return whole


async def refuse_other_mode(
    store: ObjectStore, version: Version, listed: Iterable[StoredObject], *, proof: Proof
) -> None:
    """Look at the footer of each Parquet object for the mark of the other mode; one without a footer has no mode.

    Raises:
        ModeMismatch: naming the first such key; nothing was replaced or deleted.
    """
    for stored in listed:
        if not stored.key.endswith(".parquet"):
            continue
        tail = await store.read_tail(stored, max_bytes=FOOTER_BYTES)
        fake = None if tail is None else proof.is_fake(tail)
        if fake is not None and fake is (version.mode == "real"):
            raise _other_mode(version, stored.key, fake=fake)


async def make_exact(store: ObjectStore, version: Version, keys: frozenset[str], *, proof: Proof) -> None:
    """Delete what does not belong below the prefix, and return when a listing shows exactly `keys` (LAY-6).

    Raises:
        PrefixContended: it would not settle.
        ModeMismatch: what does not belong is data of the other mode.
    """
    strangers: list[str] = []
    for _ in range(ROUNDS):
        stored = await store.list(version.prefix)
        strangers = sorted(stored.keys() - version.keys)
        if not strangers:
            missing = sorted(keys - stored.keys())
            if not missing:
                return
            raise PrefixContended(prefix=version.prefix, reason=f"{missing[0]} was deleted by somebody")
        await refuse_other_mode(store, version, [stored[key] for key in strangers], proof=proof)
        await store.delete(strangers)
    reason = f"{strangers[0]} does not belong there and is back whenever it was deleted"
    raise PrefixContended(prefix=version.prefix, reason=reason)


def _other_mode(version: Version, key: str, *, fake: bool) -> ModeMismatch:
    return ModeMismatch(name=key, found="fake" if fake else "real", mode=version.mode)
