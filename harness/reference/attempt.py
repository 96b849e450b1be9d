"""One attempt, from payload to published prefix, in the order of docs/why.md: all checks before any write."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from harness.reference import chain
from harness.reference.bugs import has_bug
from harness.reference.cryo import check_caps
from harness.reference.errors import AttemptError, BadPayload, Conflict, FailedProof, Fatal, Retryable
from harness.reference.extract import extract
from harness.reference.gateway import Gateway
from harness.reference.payload import parse
from harness.reference.pool import Pool, urls
from harness.reference.publish import Prefix, StoredVersion
from harness.reference.staging import Staging

if TYPE_CHECKING:
    from harness.reference.cancellation import Cancellation
    from harness.reference.log import Log
    from harness.reference.proof import File
    from harness.reference.settings import Settings
    from harness.reference.store import Store
    from harness.reference.task import Task


class Attempt:
    """One attempt; the end of its `with` block deletes its staging directory, so report inside the block (STG-8)."""

    def __init__(  # noqa: PLR0913 - an attempt needs all of these
        self,
        payload: Any,
        task_id: str,
        number: int,
        *,
        settings: Settings,
        store: Store,
        cancellation: Cancellation,
        log: Log,
    ) -> None:
        self._payload, self._settings, self._store = payload, settings, store
        self._cancellation, self._log = cancellation, log
        self._staging = Staging(settings.staging_root, task_id, number)
        self._failed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._staging.remove(failed=self._failed)

    def run(self) -> dict[str, Any]:
        """Return the publication; the prefix then has exactly its files and its manifest.

        Raises:
            AttemptError: the attempt failed and must be reported.
            LeaseLost: nothing may be reported.
        """
        task = self._parse()
        if self._settings.is_fake and not has_bug("says-nothing-of-fake-data"):
            self._log.write("data.fake", level="warning", note="TRACE_CRYO_MODE is fake: these are not a chain's data")
        prefix = Prefix(task, self._store, self._settings, self._cancellation)
        existing = prefix.read()
        if not (prefix.is_complete(existing) and self._is_proved(task, prefix, existing)):
            self._extract_and_upload(task, prefix, existing)
        prefix.delete_leftovers()
        self._failed = False
        return prefix.publication()

    def _parse(self) -> Task:
        try:
            return parse(self._payload)
        except BadPayload as error:
            if has_bug("bad-payload-is-retryable"):
                raise Retryable(str(error)) from None
            raise

    @property
    def _level(self) -> str:
        return "rows" if self._settings.is_fake else self._settings.coverage

    def _is_proved(self, task: Task, prefix: Prefix, existing: StoredVersion) -> bool:
        """Return whether the stored files have the required evidence; files with less are proved again (LAY-10)."""
        if prefix.needs_proof(existing, self._level) and not has_bug("believes-less-evidence"):
            pool = Pool(task, self._settings, self._cancellation, self._log)
            try:
                chain.prove(task, list(existing.files.values()), pool, self._level, self._log)
            except FailedProof as error:
                self._log.write("version.replaced", prefix=prefix.path, reason=str(error))
                return False
        self._log.write("version.adopted", prefix=prefix.path)
        return True

    def _extract_and_upload(self, task: Task, prefix: Prefix, existing: StoredVersion) -> None:
        pool = None
        if not self._settings.is_fake or (has_bug("fake-mode-wants-a-url") and urls(task, self._settings)):
            pool = Pool(task, self._settings, self._cancellation, self._log)
        self._staging.open()
        files = self._extract(task, None if self._settings.is_fake else pool)
        levels = {file.chunk.name: self._level for file in files}
        if pool is not None and not self._settings.is_fake and self._level != "rows":
            node = replace(pool.endpoint, pace=None) if has_bug("limits-only-cryo") else pool
            levels = chain.prove(task, files, node, self._level, self._log)
        if has_bug("manifest-comes-first"):
            prefix.write_manifest(existing)
        if has_bug("notes-the-url-in-the-store") and pool is not None:
            self._store.create(f"{prefix.path}_endpoint", pool.endpoint.url.encode(), {})
            self._store.delete(f"{prefix.path}_endpoint")
        for level in sorted(set(levels.values())):
            proved = [file for file in files if levels[file.chunk.name] == level]
            prefix.upload(proved, existing, "receipts" if has_bug("claims-more-evidence") else level)
        if has_bug("uploads-before-the-caps"):
            check_caps(self._staging.path / "out", self._settings)
        if has_bug("manifest-is-a-stub"):
            with suppress(Conflict):  # another attempt's manifest
                self._store.create(prefix.manifest_key, b"{}\n", {})
        elif not (has_bug("manifest-comes-first") or has_bug("manifest-is-late")):
            prefix.write_manifest(existing)
        self._late = (prefix, existing)

    def _extract(self, task: Task, pool: Pool | None) -> list[File]:
        """Run Cryo, which reads from a gateway to the pool; without a pool it makes fake data."""
        if pool is not None and has_bug("notes-the-url-in-staging"):
            (self._staging.path / "endpoint").write_text(pool.endpoint.url)
        try:
            with nullcontext() if pool is None else Gateway(pool) as gateway:
                url = None if gateway is None else gateway.url
                return extract(task, self._settings, url, self._staging, self._cancellation, self._log)
        except Fatal:
            if has_bug("keeps-what-is-capped"):
                self._store.create(f"failed/{task.dataset_uuid}.parquet", b"", {})
            raise

    def write_late_manifest(self) -> None:
        """Write the manifest after the report; only the bugs of PUB-4 do this."""
        if (has_bug("manifest-is-late") or has_bug("manifest-is-a-stub")) and hasattr(self, "_late"):
            prefix, existing = self._late
            prefix.write_manifest(replace(existing, manifest=self._store.get(prefix.manifest_key)))


def crashed(error: Exception) -> AttemptError:
    """Return the error to report for an unexpected exception."""
    return Retryable(f"the worker has a bug: {type(error).__name__}")
