"""Uploads proved files, then the manifest, and keeps valid objects that another attempt has stored.

Another attempt may write to the same prefix at the same time. Both use the same keys, and a stored object that passes
its proof is never replaced: the second writer keeps it and does not upload its own file (LAY-10). The limit on
concurrent uploads is in `budget.py`.
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
    """Upload a range, delete leftovers, write the manifest, and check that nothing else is stored (LAY-5).

    If another attempt has published the version meanwhile, its files stay, and this attempt's files are not uploaded.
    `metadata` is added to the metadata of each object.

    Raises:
        ModeMismatch, DatasetMismatch: the prefix has published data of another mode or dataset.
        PrefixContended: another writer keeps changing the prefix.
        StoredBytesDiffer: the stored bytes differ from those that were sent.
        StoreDenied, StoreUnfit, NoSuchBucket, UnsupportedKey, StoreUnavailable, ClockSkewed, CredentialsExpired,
            DiskFull: the store or the local disk failed. If several files fail, a fatal error is raised in preference
            to a retryable one.
    """
    if await prefix.use_existing_version():
        return
    await Upload(prefix, metadata).run(extraction)


@dataclass(frozen=True, slots=True)
class Upload:
    """One attempt's upload; with `download_lock`, only one stored object at a time is copied to the local disk."""

    prefix: VersionPrefix
    metadata: Mapping[str, str]
    download_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    expected: dict[str, ExpectedObject] = field(default_factory=dict)

    async def run(self, extraction: Extraction) -> None:
        """Store all files, then the manifest; see `publish_files`."""
        prefix, version = self.prefix, self.prefix.version
        listed = await prefix.list_and_check()
        # If there is a manifest, `use_existing_version` found the version incomplete, so nobody can rely on its files.
        incomplete_version = version.manifest_key in listed
        conflicting = await self.store_files(extraction.files, listed, replace_conflicting=incomplete_version)
        if conflicting:
            if await prefix.use_existing_version():
                return
            await self.store_files(conflicting, await prefix.list_and_check(), replace_conflicting=True)
        keys = frozenset(version.manifest.parquet_keys)
        checked = await prefix.delete_unexpected(keys)
        await check_stored(prefix, checked, expected=self.expected)
        await self._check_conditional_writes(extraction)
        await self.store_manifest()
        final = await prefix.delete_unexpected(version.keys)
        changed = {key: expected for key, expected in self.expected.items() if final[key] != checked[key]}
        await check_stored(prefix, final, expected=changed)
        await self._check_manifest(final[version.manifest_key])

    async def store_files(
        self,
        files: Iterable[ExtractedFile],
        listed: Mapping[str, StoredObject],
        *,
        replace_conflicting: bool = False,
    ) -> list[ExtractedFile]:
        """Store files concurrently; return the files whose key has other rows in a version that has a manifest.

        `listed` is a listing of the prefix. If it has a file's key, the stored object is checked first; see
        `store_file`.
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
        """Create one object. If the key has one already, keep it if it is valid, and replace it if it is not.

        An object is valid if it passes its proof and has the rows of `file`. With `exists`, the first step is to check
        the stored object instead of creating one.

        Return False, with nothing changed, if the stored object passes its proof but has other rows, and the version
        has a manifest: another attempt may have published the version. The caller checks that. If the version is
        incomplete, the caller sets `replace_conflicting`, and such objects are replaced.
        """
        prefix, key = self.prefix, self.prefix.version.key(file.chunk)
        async for try_number in prefix.retry():
            if try_number > 0 or not exists:
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
            async with self.download_lock:
                try:
                    proved = await prefix.prove_object(file.chunk, listed[key])
                    if proved is not None and not await self._has_same_rows(proved, file):
                        proved.copy.unlink()
                        if prefix.version.manifest_key in listed and not replace_conflicting:
                            return False
                        proved = None
                    await self._keep_or_replace(file, proved, listed[key])
                except Changed:
                    continue
            return True
        raise PrefixContended(prefix=prefix.version.prefix, reason=f"{key} keeps changing")

    async def _keep_or_replace(self, file: ExtractedFile, proved: ProvedObject | None, stored: StoredObject) -> None:
        """Keep the stored object if it is `proved`; if that is None, replace it with `file`.

        If a kept object has wrong metadata (LAY-8), it is stored again with the same bytes and correct metadata.

        Raises:
            Changed: the object was replaced since it was listed.
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
            StoredBytesDiffer: the stored bytes differ from those that were sent.
        """
        found = (await self.prefix.store.list(self.prefix.version.prefix)).get(key)
        if found is None:
            raise Changed
        expected = ExpectedObject(proved.proof, body=proved.copy)
        await check_stored(self.prefix, {key: found}, expected={key: expected})
        return ExpectedObject(proved.proof, etag=found.etag)

    async def _has_same_rows(self, proved: ProvedObject, file: ExtractedFile) -> bool:
        """Return whether a stored object has the rows of this attempt's file, in any order (LAY-10)."""
        same_bytes = proved.proof.sha256 == file.proof.sha256
        return same_bytes or await self.prefix.prover.same_rows(proved.copy, file.path)

    async def _check_conditional_writes(self, extraction: Extraction) -> None:
        """Check that the store obeys conditional writes, with the smallest file that this attempt has uploaded."""
        uploaded = [file for file in extraction.files if self.expected[self.prefix.version.key(file.chunk)].body]
        if uploaded:
            file = min(uploaded, key=lambda file: file.proof.size_bytes)
            key = self.prefix.version.key(file.chunk)
            await self.prefix.store.check_refuses_overwrite(
                key, file.path, metadata=object_metadata(file.proof, self.metadata)
            )

    async def store_manifest(self) -> None:
        """Create the manifest. If one is already stored, keep it if it is equal, and replace it if not (LAY-7)."""
        prefix, version, store = self.prefix, self.prefix.version, self.prefix.store
        content = version.manifest.to_bytes()
        async for _ in prefix.retry():
            try:
                await store.create(version.manifest_key, content, metadata={})
            except AlreadyStored:
                pass
            else:
                await store.check_refuses_overwrite(version.manifest_key, content, metadata={})
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
        """Check that the stored manifest is the one that was written.

        Raises:
            StoredBytesDiffer: it is not.
        """
        store, version = self.prefix.store, self.prefix.version
        if await store.matches(stored, version.manifest.to_bytes()):
            return
        content = await store.read(version.manifest_key, max_bytes=MAX_MANIFEST_BYTES)
        if content is None or parse_manifest(content) != version.manifest:
            raise StoredBytesDiffer(
                key=version.manifest_key, difference="the object read back is not the manifest that was written"
            )
