"""Brings proved files into the store, then the manifest: create-only, adopting what is complete, last things last.

Another attempt may be doing the same on the same prefix. Both write the same names; complete data that is stored is
never replaced; so the second writer adopts (LAY-10). How much is uploaded at once is `budget.py`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.errors import FatalError, IngestError, PrefixContended, StoredBytesDiffer
from cryo_ingest.model import parse_manifest
from cryo_ingest.ports import AlreadyStored, Changed
from cryo_ingest.publish.budget import BYTES_IN_FLIGHT, FILES_IN_FLIGHT, Budget
from cryo_ingest.publish.object_metadata import metadata_is_correct, object_metadata
from cryo_ingest.publish.ownership import MAX_MANIFEST_BYTES, check_owner
from cryo_ingest.publish.stored_bytes import Expected, check_stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryo_ingest.ports import ExtractedFile, Extraction, StoredObject
    from cryo_ingest.publish.prefix import Judged, VersionPrefix


async def publish_files(prefix: VersionPrefix, extraction: Extraction, *, metadata: Mapping[str, str]) -> None:
    """Upload a range, delete leftovers, write the manifest, return when the prefix is exact (LAY-5).

    Where another attempt has published the version meanwhile, its files stay and ours are dropped. `metadata` is added
    to what each object says about itself.

    Raises:
        ModeMismatch, DatasetMismatch: published data of others have turned up under the prefix.
        PrefixContended: another writer keeps changing it.
        StoredBytesDiffer: the store holds other bytes than were sent.
        StoreDenied, StoreUnfit, NoSuchBucket, UnmanageableKey, StoreUnavailable, ClockSkewed, CredentialsExpired,
            DiskFull: the store's own faults, or the local disk's; a fatal one goes first.
    """
    if await prefix.find_published():
        return
    await Upload(prefix, metadata).run(extraction)


@dataclass(frozen=True, slots=True)
class Upload:
    """One attempt's upload; `judging` lets one stored object at a time onto the local disk."""

    prefix: VersionPrefix
    metadata: Mapping[str, str]
    judging: asyncio.Lock = field(default_factory=asyncio.Lock)
    expected: dict[str, Expected] = field(default_factory=dict)

    async def run(self, extraction: Extraction) -> None:
        """Store all files, then the manifest; see `publish_files`."""
        prefix, version = self.prefix, self.prefix.version
        there = await prefix.look()
        incomplete = version.manifest_key in there
        disputed = await self.store_files(extraction.files, there, over_incomplete_version=incomplete)
        if disputed:
            if await prefix.find_published():
                return
            await self.store_files(disputed, await prefix.look(), over_incomplete_version=True)
        keys = frozenset(version.manifest.parquet_keys)
        checked = await prefix.make_exact(keys)
        await check_stored(prefix, checked, self.expected)
        await self._check_conditions(extraction)
        await self.store_manifest()
        final = await prefix.make_exact(version.keys)
        changed = {key: wanted for key, wanted in self.expected.items() if final[key] != checked[key]}
        await check_stored(prefix, final, changed)
        await self._check_manifest(final[version.manifest_key])

    async def store_files(
        self,
        files: Iterable[ExtractedFile],
        there: Mapping[str, StoredObject],
        *,
        over_incomplete_version: bool = False,
    ) -> list[ExtractedFile]:
        """Store files side by side and return those that differ from a version with a manifest (see `store_file`).

        `there` is a listing of the prefix: what it shows is judged first, not created again.
        """
        budget = Budget(BYTES_IN_FLIGHT, FILES_IN_FLIGHT)
        disputed: list[ExtractedFile] = []

        async def store_one(file: ExtractedFile) -> None:
            async with budget.of(file.proof.size_bytes):
                known = self.prefix.version.key(file.chunk) in there
                if not await self.store_file(file, known=known, over_incomplete_version=over_incomplete_version):
                    disputed.append(file)

        try:
            async with asyncio.TaskGroup() as group:
                for file in files:
                    group.create_task(store_one(file))
        except* IngestError as failures:
            faults = failures.exceptions
            first = next((error for error in faults if isinstance(error, FatalError)), faults[0])
        else:
            return disputed
        raise first

    async def store_file(self, file: ExtractedFile, *, known: bool, over_incomplete_version: bool) -> bool:
        """Create one object, or adopt the complete one that is stored, or replace the broken one.

        `known` objects are judged without a try to create them. False, with nothing changed, where a complete object
        of other rows is stored and a manifest beside it: another attempt may have published them. The caller finds
        out; if the version turned out incomplete, `over_incomplete_version` replaces them.
        """
        prefix, key = self.prefix, self.prefix.version.key(file.chunk)
        async for number in prefix.rounds():
            if not known or number:
                try:
                    await prefix.store.create(key, file.path, metadata=object_metadata(file.proof, self.metadata))
                except AlreadyStored:
                    pass
                else:
                    self.expected[key] = Expected(file.proof, body=file.path)
                    return True
            listed = await prefix.store.list(prefix.version.prefix)
            if key not in listed:
                continue
            await prefix.check_mode_of(listed[key])
            async with self.judging:
                try:
                    judged = await prefix.judge(file.chunk, listed[key])
                    if judged is not None and not await self._equal(judged, file):
                        judged.copy.unlink()
                        if prefix.version.manifest_key in listed and not over_incomplete_version:
                            return False
                        judged = None
                    await self._adopt_or_replace(file, judged, listed[key])
                except Changed:
                    continue
            return True
        raise PrefixContended(prefix=prefix.version.prefix, reason=f"{key} changes whenever it is looked at")

    async def _adopt_or_replace(self, file: ExtractedFile, judged: Judged | None, stored: StoredObject) -> None:
        """Replace a broken object, or adopt a complete one.

        An adopted object whose metadata do not tell the truth (LAY-8) is stored again with its own bytes and true
        metadata.

        Raises:
            Changed: the object that was judged is no longer there.
        """
        store, key = self.prefix.store, stored.key
        if judged is None:
            await store.replace(key, file.path, metadata=object_metadata(file.proof, self.metadata), etag=stored.etag)
            self.expected[key] = Expected(file.proof, body=file.path)
            return
        self.expected[key] = Expected(judged.proof, etag=stored.etag)
        try:
            if store.keeps_metadata and not metadata_is_correct(judged):
                true_facts = object_metadata(judged.proof, self.metadata)
                await store.replace(key, judged.copy, metadata=true_facts, etag=stored.etag)
                self.expected[key] = await self._expected_again(judged, key)
        finally:
            judged.copy.unlink()

    async def _expected_again(self, judged: Judged, key: str) -> Expected:
        """Look at an object that was stored again while its local copy is there, and expect it to stay like this.

        Raises:
            Changed: another writer was faster.
            StoredBytesDiffer: the store holds other bytes than were sent.
        """
        found = (await self.prefix.store.list(self.prefix.version.prefix)).get(key)
        if found is None:
            raise Changed
        await check_stored(self.prefix, {key: found}, {key: Expected(judged.proof, body=judged.copy)})
        return Expected(judged.proof, etag=found.etag)

    async def _equal(self, judged: Judged, file: ExtractedFile) -> bool:
        """Tell whether a stored object holds the rows of our own file, in any order (LAY-10)."""
        same_bytes = judged.proof.sha256 == file.proof.sha256
        return same_bytes or await self.prefix.proof.same_rows(judged.copy, file.path)

    async def _check_conditions(self, extraction: Extraction) -> None:
        """Have the store's conditional writes checked on the smallest file that is ours, so that it costs little."""
        ours = [file for file in extraction.files if self.expected[self.prefix.version.key(file.chunk)].body]
        if ours:
            file = min(ours, key=lambda each: each.proof.size_bytes)
            key = self.prefix.version.key(file.chunk)
            await self.prefix.store.ensure_create_only(
                key, file.path, metadata=object_metadata(file.proof, self.metadata)
            )

    async def store_manifest(self) -> None:
        """Create the manifest, or keep the equal one that is stored, or replace another one (LAY-7)."""
        prefix, version, store = self.prefix, self.prefix.version, self.prefix.store
        content = version.manifest.to_bytes()
        async for _ in prefix.rounds():
            try:
                await store.create(version.manifest_key, content, metadata={})
            except AlreadyStored:
                pass
            else:
                await store.ensure_create_only(version.manifest_key, content, metadata={})
                return
            stored = await store.list(version.prefix)
            if version.manifest_key not in stored:
                continue
            there = await store.read(version.manifest_key, max_bytes=MAX_MANIFEST_BYTES)
            if there is not None and parse_manifest(there) == version.manifest:
                return
            await check_owner(store, version, stored)
            try:
                etag = stored[version.manifest_key].etag
                await store.replace(version.manifest_key, content, metadata={}, etag=etag)
            except Changed:
                continue
            return
        raise PrefixContended(prefix=version.prefix, reason="the manifest changes whenever it is looked at")

    async def _check_manifest(self, stored: StoredObject) -> None:
        """Make sure that readers find the manifest that was written.

        Raises:
            StoredBytesDiffer: they do not.
        """
        store, version = self.prefix.store, self.prefix.version
        if await store.matches(stored, version.manifest.to_bytes()):
            return
        content = await store.read(version.manifest_key, max_bytes=MAX_MANIFEST_BYTES)
        if content is None or parse_manifest(content) != version.manifest:
            raise StoredBytesDiffer(key=version.manifest_key, difference="read back, it is not the manifest")
