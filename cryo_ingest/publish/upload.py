"""Uploads proved files, then the manifest, and adopts complete objects that are already stored.

Another attempt may write to the same prefix at the same time. Both use the same keys, and stored complete data are
never replaced, so the second writer adopts them (LAY-10). The limit on concurrent uploads is in `budget.py`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.errors import FatalError, IngestError, PrefixContended, StoredBytesDiffer
from cryo_ingest.model import parse_manifest
from cryo_ingest.ports import AlreadyStored, Changed
from cryo_ingest.publish.budget import BYTES_IN_FLIGHT, FILES_IN_FLIGHT, UploadBudget
from cryo_ingest.publish.object_metadata import metadata_is_correct, object_metadata
from cryo_ingest.publish.ownership import MAX_MANIFEST_BYTES, check_owner
from cryo_ingest.publish.stored_bytes import ExpectedObject, check_stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryo_ingest.ports import ExtractedFile, Extraction, StoredObject
    from cryo_ingest.publish.prefix import ProvedObject, VersionPrefix


async def publish_files(prefix: VersionPrefix, extraction: Extraction, *, metadata: Mapping[str, str]) -> None:
    """Upload a range, delete leftovers, write the manifest, and check that the prefix is exact (LAY-5).

    If another attempt has published the version meanwhile, its files stay and ours are not uploaded. `metadata` is
    added to the metadata of each object.

    Raises:
        ModeMismatch, DatasetMismatch: the prefix has published data of another mode or dataset.
        PrefixContended: another writer keeps changing the prefix.
        StoredBytesDiffer: the store holds other bytes than were sent.
        StoreDenied, StoreUnfit, NoSuchBucket, UnmanageableKey, StoreUnavailable, ClockSkewed, CredentialsExpired,
            DiskFull: the store or the local disk failed; of several errors a fatal one is raised.
    """
    if await prefix.adopt_published():
        return
    await Upload(prefix, metadata).run(extraction)


@dataclass(frozen=True, slots=True)
class Upload:
    """One attempt's upload; the lock `proving` allows one stored object at a time on the local disk."""

    prefix: VersionPrefix
    metadata: Mapping[str, str]
    proving: asyncio.Lock = field(default_factory=asyncio.Lock)
    expected: dict[str, ExpectedObject] = field(default_factory=dict)

    async def run(self, extraction: Extraction) -> None:
        """Store all files, then the manifest; see `publish_files`."""
        prefix, version = self.prefix, self.prefix.version
        listed = await prefix.list_checked()
        incomplete = version.manifest_key in listed
        conflicting = await self.store_files(extraction.files, listed, replace_conflicting=incomplete)
        if conflicting:
            if await prefix.adopt_published():
                return
            await self.store_files(conflicting, await prefix.list_checked(), replace_conflicting=True)
        keys = frozenset(version.manifest.parquet_keys)
        checked = await prefix.make_exact(keys)
        await check_stored(prefix, checked, expected=self.expected)
        await self._check_conditions(extraction)
        await self.store_manifest()
        final = await prefix.make_exact(version.keys)
        changed = {key: wanted for key, wanted in self.expected.items() if final[key] != checked[key]}
        await check_stored(prefix, final, expected=changed)
        await self._check_manifest(final[version.manifest_key])

    async def store_files(
        self,
        files: Iterable[ExtractedFile],
        listed: Mapping[str, StoredObject],
        *,
        replace_conflicting: bool = False,
    ) -> list[ExtractedFile]:
        """Store files concurrently and return those that conflict with a version with a manifest (see `store_file`).

        `listed` is a listing of the prefix: objects in it are proved first, not created again.
        """
        budget = UploadBudget(BYTES_IN_FLIGHT, FILES_IN_FLIGHT)
        conflicting: list[ExtractedFile] = []

        async def store_one(file: ExtractedFile) -> None:
            async with budget.reserve(file.proof.size_bytes):
                exists = self.prefix.version.key(file.chunk) in listed
                if not await self.store_file(file, exists=exists, replace_conflicting=replace_conflicting):
                    conflicting.append(file)

        try:
            async with asyncio.TaskGroup() as group:
                for file in files:
                    group.create_task(store_one(file))
        except* IngestError as failures:
            errors = failures.exceptions
            first = next((error for error in errors if isinstance(error, FatalError)), errors[0])
        else:
            return conflicting
        raise first

    async def store_file(self, file: ExtractedFile, *, exists: bool, replace_conflicting: bool) -> bool:
        """Create one object, or adopt the complete stored one, or replace an incomplete one.

        An object that `exists` is proved without trying to create it. Returns False, with nothing changed, if the key
        has a complete object with other rows and the version has a manifest: another attempt may have published it.
        The caller checks that; if the version is incomplete, `replace_conflicting` replaces such objects.
        """
        prefix, key = self.prefix, self.prefix.version.key(file.chunk)
        async for number in prefix.tries():
            if not exists or number:
                try:
                    await prefix.store.create(key, file.path, metadata=object_metadata(file.proof, self.metadata))
                except AlreadyStored:
                    pass
                else:
                    self.expected[key] = ExpectedObject(file.proof, body=file.path)
                    return True
            listed = await prefix.store.list(prefix.version.prefix)
            if key not in listed:
                continue
            await prefix.check_mode([listed[key]])
            async with self.proving:
                try:
                    proved = await prefix.prove_object(file.chunk, listed[key])
                    if proved is not None and not await self._has_same_rows(proved, file):
                        proved.copy.unlink()
                        if prefix.version.manifest_key in listed and not replace_conflicting:
                            return False
                        proved = None
                    await self._adopt_or_replace(file, proved, listed[key])
                except Changed:
                    continue
            return True
        raise PrefixContended(prefix=prefix.version.prefix, reason=f"{key} keeps changing")

    async def _adopt_or_replace(self, file: ExtractedFile, proved: ProvedObject | None, stored: StoredObject) -> None:
        """Replace an incomplete object, or adopt a proved one.

        An adopted object with wrong metadata (LAY-8) is stored again with its own bytes and correct metadata.

        Raises:
            Changed: the key has another object than `stored`.
        """
        store, key = self.prefix.store, stored.key
        if proved is None:
            await store.replace(key, file.path, metadata=object_metadata(file.proof, self.metadata), etag=stored.etag)
            self.expected[key] = ExpectedObject(file.proof, body=file.path)
            return
        self.expected[key] = ExpectedObject(proved.proof, etag=stored.etag)
        try:
            if store.keeps_metadata and not metadata_is_correct(proved):
                metadata = object_metadata(proved.proof, self.metadata)
                await store.replace(key, proved.copy, metadata=metadata, etag=stored.etag)
                self.expected[key] = await self._check_replaced(proved, key)
        finally:
            proved.copy.unlink()

    async def _check_replaced(self, proved: ProvedObject, key: str) -> ExpectedObject:
        """Compare an object that was stored again with its local copy, and return it as the expected object.

        Raises:
            Changed: another writer has deleted it.
            StoredBytesDiffer: the store holds other bytes than were sent.
        """
        found = (await self.prefix.store.list(self.prefix.version.prefix)).get(key)
        if found is None:
            raise Changed
        expected = ExpectedObject(proved.proof, body=proved.copy)
        await check_stored(self.prefix, {key: found}, expected={key: expected})
        return ExpectedObject(proved.proof, etag=found.etag)

    async def _has_same_rows(self, proved: ProvedObject, file: ExtractedFile) -> bool:
        """Return whether a stored object has the rows of our file, in any order (LAY-10)."""
        same_bytes = proved.proof.sha256 == file.proof.sha256
        return same_bytes or await self.prefix.proof.same_rows(proved.copy, file.path)

    async def _check_conditions(self, extraction: Extraction) -> None:
        """Check that the store obeys conditional writes, with the smallest of our files to keep it cheap."""
        ours = [file for file in extraction.files if self.expected[self.prefix.version.key(file.chunk)].body]
        if ours:
            file = min(ours, key=lambda each: each.proof.size_bytes)
            key = self.prefix.version.key(file.chunk)
            await self.prefix.store.ensure_create_only(
                key, file.path, metadata=object_metadata(file.proof, self.metadata)
            )

    async def store_manifest(self) -> None:
        """Create the manifest, keep an equal one that is stored, or replace a different one (LAY-7)."""
        prefix, version, store = self.prefix, self.prefix.version, self.prefix.store
        content = version.manifest.to_bytes()
        async for _ in prefix.tries():
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
            found = await store.read(version.manifest_key, max_bytes=MAX_MANIFEST_BYTES)
            if found is not None and parse_manifest(found) == version.manifest:
                return
            await check_owner(store, version, stored=stored)
            try:
                etag = stored[version.manifest_key].etag
                await store.replace(version.manifest_key, content, metadata={}, etag=etag)
            except Changed:
                continue
            return
        raise PrefixContended(prefix=version.prefix, reason="the manifest keeps changing")

    async def _check_manifest(self, stored: StoredObject) -> None:
        """Check that the store holds the manifest that was written.

        Raises:
            StoredBytesDiffer: it holds another one.
        """
        store, version = self.prefix.store, self.prefix.version
        if await store.matches(stored, version.manifest.to_bytes()):
            return
        content = await store.read(version.manifest_key, max_bytes=MAX_MANIFEST_BYTES)
        if content is None or parse_manifest(content) != version.manifest:
            raise StoredBytesDiffer(key=version.manifest_key, difference="read back, it is not the manifest")
