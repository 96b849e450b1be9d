"""The stored objects, the upload that adopts them, and the manifest, which is written last (LAY)."""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.reference import proof
from harness.reference.bugs import has_bug
from harness.reference.errors import Conflict, Fatal, Retryable

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.reference.cancellation import Cancellation
    from harness.reference.settings import Settings
    from harness.reference.store import Entry, Store, Stored
    from harness.reference.task import Task

LEVELS = ("rows", "chain", "receipts")
ROUNDS = 6
PAUSE_SECONDS = 0.05
NO_ETAG = f'"{"0" * 32}"'
"""An ETag that no object has."""


@dataclass(slots=True)
class StoredVersion:
    """The objects under the prefix, from an earlier attempt or anyone else; `files` are complete and proved by rows."""

    entries: dict[str, Entry]
    manifest: Stored | None = None
    files: dict[str, proof.File] = field(default_factory=dict)
    objects: dict[str, Stored] = field(default_factory=dict)

    def evidence(self, key: str) -> str | None:
        """Return the recorded level of an object, or None if the recorded digest is not that of its bytes (LAY-10)."""
        stored = self.objects[key]
        recorded = stored.metadata.get("evidence")
        fits = stored.metadata.get("sha256") == hashlib.sha256(stored.body).hexdigest()
        return recorded if fits and recorded in LEVELS else None


class Prefix:
    """The prefix of one version in a store."""

    def __init__(self, task: Task, store: Store, settings: Settings, cancellation: Cancellation) -> None:
        self.version = task.version
        self.path = task.prefix(self.version)
        self._task, self._store, self._settings, self._cancellation = task, store, settings, cancellation
        self._chunks = {self.path + chunk.name: chunk for chunk in task.chunks()}
        self.manifest_key = self.path + "_manifest.json"
        self._sizes: dict[str, int] = {}
        self._if_match_works = has_bug("trusts-conditional-writes")

    def read(self) -> StoredVersion:
        """Read all objects under the prefix.

        Raises:
            Fatal: an object has data of the other mode (LAY-11), or the version belongs to another dataset (LAY-12).
        """
        existing = StoredVersion(self._store.entries(self.path))
        for key in existing.entries:
            stored = self._store.get(key)
            if stored is None:
                continue
            self._sizes[key] = len(stored.body)
            if key == self.manifest_key:
                existing.manifest = stored
            elif key.endswith(".parquet"):
                self._read_file(key, stored, existing)
        self._check_owner(existing)
        return existing

    def _check_owner(self, existing: StoredVersion) -> None:
        listed = _listed(existing.manifest) if existing.manifest is not None else []
        others = [key for key in listed if key not in self._chunks and key in existing.entries]
        if others and not has_bug("deletes-another-dataset"):
            raise Fatal(
                f"{self.manifest_key} lists files that this version does not have, such as {others[0]}: another "
                "dataset uses the same dataset_uuid and config_hash. Nothing was changed; use other values for this one"
            )

    def _read_file(self, key: str, stored: Stored, existing: StoredVersion) -> None:
        proof.check_mark(proof.is_fake(stored.body), mode_is_fake=self._settings.is_fake, where=key)
        if key not in self._chunks:
            return
        existing.objects[key] = stored
        try:
            existing.files[key] = proof.read(self._chunks[key], stored.body, self._task.cryo_dataset_name)
        except (proof.Broken, proof.OtherSchema):
            return

    def is_complete(self, existing: StoredVersion) -> bool:
        """Return whether the manifest and all files that it must list are stored and complete."""
        if has_bug("always-runs-cryo") or existing.manifest is None:
            return False
        if has_bug("believes-any-manifest"):
            return True
        return self._is_right_manifest(existing.manifest) and existing.files.keys() == self._chunks.keys()

    def needs_proof(self, existing: StoredVersion, level: str) -> bool:
        """Return whether a stored file has less evidence than required."""
        wanted = LEVELS.index(level)
        recorded = [existing.evidence(key) for key in existing.files]
        return any(LEVELS.index(evidence or "rows") < wanted for evidence in recorded)

    def upload(self, files: list[proof.File], existing: StoredVersion, level: str) -> None:
        """Store every file; adopt stored files that are complete.

        Raises:
            Retryable: another process keeps changing an object, or the store keeps other bytes.
            Fatal: the store ignores conditions.
        """
        for file in files:
            key = self._key(file)
            body = _rewritten(file) if has_bug("rewrites-the-parquet") else file.body
            self._store_or_adopt(key, body, _metadata(file, level), existing.objects.get(key), file)
        self._check_sizes(self._store.entries(self.path))
        if not has_bug("trusts-conditional-writes"):
            self._check_create_only(min((self._key(file) for file in files), key=self._sizes.__getitem__))
        if has_bug("uploads-reports"):
            self._store.create(self.path + ".cryo/reports/report.json", b"{}", {})

    def _key(self, file: proof.File) -> str:
        name = file.chunk.name
        return self.path + (f"part-{file.chunk.first}.parquet" if has_bug("renames-files") else name)

    def _store_or_adopt(
        self, key: str, body: bytes, metadata: dict[str, str], stored: Stored | None, file: proof.File
    ) -> None:
        for _ in range(ROUNDS):
            if stored is not None and not has_bug("overwrites-what-is-stored") and self._same(stored, file):
                self._sizes[key] = len(stored.body)
                return
            try:
                self._put(key, body, metadata, stored)
            except Conflict:
                self._cancellation.pause(PAUSE_SECONDS)
                stored = self._store.get(key)
            else:
                return
        raise Retryable(f"another process keeps changing {key}")

    def _put(self, key: str, body: bytes, metadata: dict[str, str], stored: Stored | None) -> None:
        if stored is None:
            self._store.create(key, body, metadata)
        else:
            if not self._if_match_works:
                self._check_rejected(lambda: self._store.replace(key, body, metadata, NO_ETAG), "If-Match")
                self._if_match_works = True
            self._store.replace(key, body, metadata, stored.etag)
        self._sizes[key] = len(body)

    def _check_create_only(self, key: str) -> None:
        """Repeat a create-only PUT with the stored bytes, which changes nothing even if the store accepts it."""
        stored = self._store.get(key)
        if stored is not None:
            self._check_rejected(lambda: self._store.create(key, stored.body, stored.metadata), "If-None-Match")

    def _check_rejected(self, put: Callable[[], None], condition: str) -> None:
        try:
            put()
        except Conflict:
            return
        raise Fatal(
            f"the object store ignores {condition}: attempts could replace each other's data; use another store"
        )

    def _check_sizes(self, entries: dict[str, Entry]) -> None:
        for key, size in self._sizes.items():
            if key in entries and entries[key].size_bytes != size and not has_bug("never-compares-sizes"):
                listed = entries[key].size_bytes
                raise Retryable(f"the object store has {listed} bytes of {key}, but {size} bytes were proved")

    def _same(self, stored: Stored, file: proof.File) -> bool:
        if stored.body == file.body:
            return True
        proof.check_mark(proof.is_fake(stored.body), mode_is_fake=self._settings.is_fake, where=file.chunk.name)
        try:
            stored_file = proof.read(file.chunk, stored.body, self._task.cryo_dataset_name)
        except (proof.Broken, proof.OtherSchema):
            return False
        return has_bug("adopts-other-rows") or proof.same_rows(stored_file.table, file.table)

    def write_manifest(self, existing: StoredVersion) -> None:
        """Write the manifest, replace a wrong one, or keep one that is equal.

        Raises:
            Retryable: another process keeps changing it.
        """
        stored = existing.manifest
        must_replace = stored is not None
        for _ in range(ROUNDS):
            if stored is not None and not must_replace and self._is_right_manifest(stored):
                self._sizes[self.manifest_key] = len(stored.body)
                return
            try:
                self._put(self.manifest_key, self._manifest(), {}, stored)
            except Conflict:
                self._cancellation.pause(PAUSE_SECONDS)
                stored, must_replace = self._store.get(self.manifest_key), False
            else:
                return
        raise Retryable(f"another process keeps changing {self.manifest_key}")

    def delete_leftovers(self) -> None:
        """Delete all keys that do not belong to this version, and check the prefix again (LAY-6).

        Raises:
            Retryable: the prefix does not have exactly the expected keys.
        """
        expected = {*self._chunks, self.manifest_key}
        if any(
            has_bug(name) for name in ("renames-files", "uploads-reports", "manifest-is-late", "manifest-is-a-stub")
        ):
            return
        for key in self._store.entries(self.path).keys() - expected:
            if not has_bug("leftovers-stay"):
                self._store.delete(key)
        entries = self._store.entries(self.path)
        self._check_sizes(entries)
        if entries.keys() != expected and not has_bug("leftovers-stay"):
            raise Retryable(f"the prefix {self.path} does not have exactly its keys: another process changes it")

    def publication(self) -> dict[str, Any]:
        """Return the publication (PUB-1, PUB-2)."""
        task = self._task
        fields = {
            "dataset_uuid": task.dataset_uuid,
            "dataset_version": self.version,
            "storage_ref": self._store.reference(self.path),
            "config_hash": task.config_hash,
            "range_start": task.range_start,
            "range_end": task.range_end,
        }
        if has_bug("publication-lacks-the-config-hash"):
            del fields["config_hash"]
        return fields

    def _content(self) -> dict[str, Any]:
        keys = sorted(self._chunks)
        if has_bug("manifest-of-bare-names"):
            keys = [key.rpartition("/")[2] for key in keys]
        if has_bug("manifest-is-unsorted"):
            keys = keys[::-1] + keys[:1]
        content = {
            "version": 1,
            "dataset_uuid": self._task.dataset_uuid,
            "dataset_version": self.version,
            "parquet_keys": keys,
        }
        if has_bug("manifest-tells-more"):
            content["rows"] = 0
        if has_bug("manifest-tells-the-host"):
            content = {"host": socket.gethostname(), **content}
        return content

    def _manifest(self) -> bytes:
        if has_bug("manifest-is-pretty"):
            return json.dumps(self._content(), indent=2).encode()
        return (json.dumps(self._content(), separators=(",", ":"), ensure_ascii=False) + "\n").encode()

    def _is_right_manifest(self, stored: Stored) -> bool:
        try:
            return bool(json.loads(stored.body) == self._content())
        except (ValueError, RecursionError):
            return False


def _listed(manifest: Stored) -> list[str]:
    """Return the keys that a manifest lists, none if it is unreadable."""
    try:
        keys = json.loads(manifest.body)["parquet_keys"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return []
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []


def _metadata(file: proof.File, level: str) -> dict[str, str]:
    """Return the metadata of a file (LAY-8)."""
    numbers = file.numbers()
    return {
        "sha256": hashlib.sha256(file.body).hexdigest(),
        "rows": str(len(numbers)),
        "block-min": str(min(numbers, default="")),
        "block-max": str(max(numbers, default="")),
        "evidence": level,
    }


def _rewritten(file: proof.File) -> bytes:
    import io  # noqa: PLC0415 - only a bug needs these

    import pyarrow.parquet as pq  # noqa: PLC0415

    target = io.BytesIO()
    pq.write_table(file.table, target, compression="zstd")
    return target.getvalue()
