"""Reads a version's prefix: checks whether the version is complete, and deletes unexpected objects (LAY-6, LAY-10).

A stored object is proved like a file that Cryo has written, after it has been downloaded. Its recorded metadata are
used only if they match its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.backoff import Backoff
from cryo_ingest.errors import ModeMismatch, PrefixContended, ProofFailed, UnexpectedSchema
from cryo_ingest.logs import log
from cryo_ingest.model import parse_manifest
from cryo_ingest.ports import Changed
from cryo_ingest.publish.ownership import MAX_MANIFEST_BYTES, check_owner
from cryo_ingest.settings import SINGLE_PUT_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path
    from random import Random

    from cryo_ingest.layout import Chunk
    from cryo_ingest.model import StorageRef
    from cryo_ingest.ports import Clock, FileProof, ObjectStore, Prover, StoredObject
    from cryo_ingest.publish.version import Version

MAX_TRIES = 5
"""How often a key or the prefix is read. After that, the attempt fails because another writer keeps changing it."""

FOOTER_BYTES = 256 * 1024
"""More than the footer of any of Cryo's files (the largest golden one has 10 KB)."""


@dataclass(frozen=True, slots=True)
class ProvedObject:
    """A stored object that passed its proof: its local copy, the proof, and its metadata."""

    copy: Path
    proof: FileProof
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VersionPrefix:
    """One version's prefix in a store; `scratch` is a local directory for copies of stored objects."""

    store: ObjectStore
    version: Version
    prover: Prover = field(repr=False)
    scratch: Path
    clock: Clock
    random: Random

    def reference(self) -> StorageRef:
        """Return the publication's reference to the prefix."""
        return self.store.reference(self.version.prefix)

    async def list_and_check(self) -> dict[str, StoredObject]:
        """List the prefix, by key, and check that it has no data of another mode or dataset.

        Raises:
            ModeMismatch: the prefix contains data of the other mode (LAY-11).
            DatasetMismatch: the prefix contains published data of another dataset (LAY-12).
        """
        stored = await self.store.list(self.version.prefix)
        await self.check_mode(stored.values())
        await check_owner(self.store, self.version, stored=stored)
        return stored

    async def use_existing_version(self) -> bool:
        """If the complete version is already in the store, delete leftovers and return True (LAY-10).

        Otherwise change nothing and return False. Each object is copied to `scratch`, proved, and its copy is deleted
        before the next object is copied.

        Raises:
            ModeMismatch, DatasetMismatch: see `list_and_check`.
            PrefixContended: another writer keeps creating objects that do not belong there.
            StoreDenied, NoSuchBucket, UnsupportedKey, StoreUnavailable, DiskFull: the store or the disk failed.
        """
        stored = await self.list_and_check()
        if not stored.keys() >= self.version.keys or not await self._has_manifest():
            return False
        for chunk in self.version.chunks:
            try:
                proved = await self.prove_object(chunk, stored[self.version.key(chunk)])
            except Changed:
                return False
            if proved is None:
                return False
            proved.copy.unlink()
        final = await self.delete_unexpected(self.version.keys)
        if any(final[key] != stored[key] for key in self.version.keys):
            return False
        log.info("version.adopted", prefix=self.version.prefix, files=len(self.version.chunks))
        return True

    async def prove_object(self, chunk: Chunk, stored: StoredObject) -> ProvedObject | None:
        """Download the listed version of a chunk's object and prove it; None if it is gone or fails its proof.

        An object too large for a single PUT was not written by an attempt, so it is not downloaded. The caller deletes
        the copy of a proved object.

        Raises:
            ModeMismatch: it is data of the other mode.
            Changed: the object was replaced since it was listed.
        """
        if stored.size_bytes > SINGLE_PUT_LIMIT_BYTES:
            return None
        copy = (self.scratch / chunk.name).with_suffix(".stored")
        copy.unlink(missing_ok=True)
        proved = None
        try:
            metadata = await self.store.download(stored, copy)
            if metadata is not None:
                file_proof = await self.prover.prove_rows(copy, chunk)
                if file_proof.fake != (self.version.mode == "fake"):
                    raise self._other_mode(stored.key, fake=file_proof.fake)
                if metadata.get("sha256", file_proof.sha256) == file_proof.sha256:
                    recorded = metadata if "sha256" in metadata else None
                    confirmed = await self.prover.confirm_with_node(
                        copy, chunk, rows_proof=file_proof, recorded=recorded
                    )
                    proved = ProvedObject(copy, confirmed, metadata)
        except (ProofFailed, UnexpectedSchema):
            pass
        finally:
            if proved is None:
                copy.unlink(missing_ok=True)
        return proved

    async def delete_unexpected(self, keys: frozenset[str]) -> dict[str, StoredObject]:
        """Delete unexpected objects below the prefix, and return a listing that has all of `keys`.

        Raises:
            PrefixContended: another writer keeps creating unexpected objects, or deleted one of `keys`.
            ModeMismatch, DatasetMismatch: an unexpected object belongs to another mode or dataset.
        """
        unexpected: list[str] = []
        async for _ in self.retry():
            stored = await self.store.list(self.version.prefix)
            unexpected = sorted(stored.keys() - self.version.keys)
            if not unexpected:
                missing = sorted(keys - stored.keys())
                if not missing:
                    return stored
                raise PrefixContended(prefix=self.version.prefix, reason=f"{missing[0]} was deleted")
            await self.check_mode(stored[key] for key in unexpected)
            await check_owner(self.store, self.version, stored=stored)
            await self.store.delete(unexpected)
        reason = f"{unexpected[0]} does not belong there, and is created again after every delete"
        raise PrefixContended(prefix=self.version.prefix, reason=reason)

    async def retry(self) -> AsyncIterator[int]:
        """Yield the number of each try, starting at 0, and pause before each retry.

        The caller repeats an operation that failed because another writer changed the prefix.
        """
        backoff = Backoff(self.random)
        for try_number in range(MAX_TRIES):
            if try_number > 0:
                await self.clock.sleep(backoff.failed())
            yield try_number

    async def _has_manifest(self) -> bool:
        content = await self.store.read(self.version.manifest_key, max_bytes=MAX_MANIFEST_BYTES)
        return content is not None and parse_manifest(content) == self.version.manifest

    async def check_mode(self, listed: Iterable[StoredObject]) -> None:
        """Check the mark of fake data in the footer of each Parquet object; an object without a footer is ignored.

        Raises:
            ModeMismatch: an object is of the other mode; nothing was replaced or deleted.
        """
        for stored in listed:
            if not stored.key.endswith(".parquet"):
                continue
            tail = await self.store.read_tail(stored, max_bytes=FOOTER_BYTES)
            fake = None if tail is None else self.prover.is_fake(tail)
            if fake is not None and fake != (self.version.mode == "fake"):
                raise self._other_mode(stored.key, fake=fake)

    def _other_mode(self, key: str, *, fake: bool) -> ModeMismatch:
        return ModeMismatch(name=key, found="fake" if fake else "real", mode=self.version.mode)
