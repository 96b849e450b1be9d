"""What is under one version's prefix, whether it is complete, and how it becomes exact (LAY-6, LAY-10).

Judging a stored object means downloading it and proving it as if Cryo had just written it: nothing that is recorded
about an object counts before its bytes match.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.backoff import Backoff
from cryo_ingest.errors import ModeMismatch, PrefixContended, ProofFailed, SchemaDrift
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
    from cryo_ingest.ports import Clock, FileProof, ObjectStore, Proof, StoredObject
    from cryo_ingest.publish.version import Version

ROUNDS = 5
"""How often a key or the prefix is looked at again before another writer is assumed to be at work there."""

FOOTER_BYTES = 256 * 1024
"""More than the footer of any of Cryo's files (the largest golden one has 10 KB)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A stored object that proved complete: its local copy, what was proved, and the metadata recorded with it."""

    copy: Path
    proof: FileProof
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VersionPrefix:
    """One version's prefix in a store; `scratch` is a local directory for copies of stored objects."""

    store: ObjectStore
    version: Version
    proof: Proof = field(repr=False)
    scratch: Path
    clock: Clock
    random: Random

    def reference(self) -> StorageRef:
        """Return how the publication names the prefix."""
        return self.store.reference(self.version.prefix)

    async def look(self) -> dict[str, StoredObject]:
        """List the prefix, by key, and make sure that nothing there forbids this attempt to go on.

        Raises:
            ModeMismatch: it holds data of the other mode (LAY-11).
            DatasetMismatch: it holds published data of another dataset (LAY-12).
        """
        stored = await self.store.list(self.version.prefix)
        await self._check_mode(stored.values())
        await check_owner(self.store, self.version, stored)
        return stored

    async def find_published(self) -> bool:
        """Tell whether the version is stored with its manifest, complete; if so, delete leftovers (LAY-10).

        Nothing is changed where it is not. Copies come to `scratch` one at a time, each deleted afterwards.

        Raises:
            ModeMismatch, DatasetMismatch: as `look`.
            PrefixContended: leftovers keep coming back.
            StoreDenied, NoSuchBucket, UnmanageableKey, StoreUnavailable, DiskFull: as the store's own operations.
        """
        stored = await self.look()
        if not stored.keys() >= self.version.keys or not await self._has_manifest():
            return False
        for chunk in self.version.chunks:
            try:
                judged = await self.judge(chunk, stored[self.version.key(chunk)])
            except Changed:
                return False
            if judged is None:
                return False
            judged.copy.unlink()
        final = await self.make_exact(self.version.keys)
        if any(final[key] != stored[key] for key in self.version.keys):
            return False
        log.info("version.adopted", prefix=self.version.prefix, files=len(self.version.chunks))
        return True

    async def judge(self, chunk: Chunk, stored: StoredObject) -> Judged | None:
        """Download a chunk's stored object as it was listed and prove it; None where it is gone or not complete.

        One that no single PUT could have made is no attempt's work, so it is not even downloaded. The copy of a
        complete one is the caller's to delete.

        Raises:
            ModeMismatch: it is data of the other mode.
            Changed: it is no longer the object that was listed.
        """
        if stored.size_bytes > SINGLE_PUT_LIMIT_BYTES:
            return None
        copy = (self.scratch / chunk.name).with_suffix(".stored")
        copy.unlink(missing_ok=True)
        complete = None
        try:
            metadata = await self.store.download(stored, copy)
            if metadata is not None:
                seen = await self.proof.prove(copy, chunk)
                if seen.fake is (self.version.mode == "real"):
                    raise self._other_mode(stored.key, fake=seen.fake)
                if metadata.get("sha256", seen.sha256) == seen.sha256:
                    recorded = metadata if "sha256" in metadata else None
                    seen = await self.proof.confirm(copy, chunk, seen, recorded=recorded)
                    complete = Judged(copy, seen, metadata)
        except (ProofFailed, SchemaDrift):
            pass
        finally:
            if complete is None:
                copy.unlink(missing_ok=True)
        return complete

    async def make_exact(self, keys: frozenset[str]) -> dict[str, StoredObject]:
        """Delete what does not belong below the prefix, and return the listing that shows `keys` and no leftovers.

        Raises:
            PrefixContended: it does not become exact.
            ModeMismatch, DatasetMismatch: what does not belong is published data of others.
        """
        unexpected: list[str] = []
        async for _ in self.rounds():
            stored = await self.store.list(self.version.prefix)
            unexpected = sorted(stored.keys() - self.version.keys)
            if not unexpected:
                missing = sorted(keys - stored.keys())
                if not missing:
                    return stored
                raise PrefixContended(prefix=self.version.prefix, reason=f"{missing[0]} was deleted")
            await self._check_mode(stored[key] for key in unexpected)
            await check_owner(self.store, self.version, stored)
            await self.store.delete(unexpected)
        reason = f"{unexpected[0]} does not belong there and is back whenever it is deleted"
        raise PrefixContended(prefix=self.version.prefix, reason=reason)

    async def rounds(self) -> AsyncIterator[int]:
        """Count the looks at something that another writer may be changing, with a pause between them."""
        backoff = Backoff(self.random)
        for number in range(ROUNDS):
            if number:
                await self.clock.sleep(backoff.failed())
            yield number

    async def _has_manifest(self) -> bool:
        content = await self.store.read(self.version.manifest_key, max_bytes=MAX_MANIFEST_BYTES)
        return content is not None and parse_manifest(content) == self.version.manifest

    async def _check_mode(self, listed: Iterable[StoredObject]) -> None:
        """Look at the footer of each Parquet object for the mark of the other mode; one without a footer has no mode.

        Raises:
            ModeMismatch: naming the first such key; nothing was replaced or deleted.
        """
        for stored in listed:
            if not stored.key.endswith(".parquet"):
                continue
            tail = await self.store.read_tail(stored, max_bytes=FOOTER_BYTES)
            fake = None if tail is None else self.proof.is_fake(tail)
            if fake is not None and fake is (self.version.mode == "real"):
                raise self._other_mode(stored.key, fake=fake)

    async def check_mode_of(self, stored: StoredObject) -> None:
        """Make sure that one object is not data of the other mode.

        Raises:
            ModeMismatch: it is.
        """
        await self._check_mode([stored])

    def _other_mode(self, key: str, *, fake: bool) -> ModeMismatch:
        return ModeMismatch(name=key, found="fake" if fake else "real", mode=self.version.mode)
