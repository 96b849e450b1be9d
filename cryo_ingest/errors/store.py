"""Errors of the object store and its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryo_ingest.errors.base import FatalError, RetryableError

if TYPE_CHECKING:
    from pathlib import Path


class ModeMismatch(FatalError):
    """Fake data in real mode, or real data under the prefix in fake mode (MOD-5, LAY-11)."""

    def __init__(self, *, name: str, found: str, mode: str) -> None:
        self.name = name
        super().__init__(
            f"{name} contains {found} data, but this worker runs in {mode} mode (TRACE_CRYO_MODE). Nothing was "
            "replaced or deleted; use another bucket or dataset for each mode, or remove the prefix by hand"
        )


class DatasetMismatch(FatalError):
    """A manifest under the prefix lists files of another dataset: one identity was used for two datasets (LAY-12)."""

    def __init__(self, *, manifest: str, key: str) -> None:
        self.manifest, self.key = manifest, key
        super().__init__(
            f"{manifest} lists {key}, which is not a file of this task: the same dataset_uuid, config_hash, chain and "
            "range were used for two datasets. Nothing was replaced or deleted; give each dataset its own "
            "dataset_uuid and submit the task again"
        )


class StoreDenied(FatalError):
    """The object store rejected the credentials, or a permission is missing; or a directory can't be used as a store.

    `directory` is the root of such a directory.
    """

    def __init__(self, *, operation: str, key: str, reason: str, directory: Path | None = None) -> None:
        if directory is None:
            message = (
                f"the object store denied {operation} on {key}: {reason}. Check the credentials and that the policy "
                "grants what docs/reference.md lists"
            )
        else:
            message = (
                f"the directory {directory} can't be used as the store: {operation} on {key} failed: {reason}. Choose "
                "another directory with --store, or make this one writable on a file system with hard links and locks"
            )
        super().__init__(message)


class NoSuchBucket(FatalError):
    """The bucket does not exist, or is in another region; `reason` is the store's error code."""

    def __init__(self, *, bucket: str, reason: str) -> None:
        super().__init__(
            f"the bucket {bucket!r} does not exist here ({reason}): create it, or correct "
            "S3_BUCKET, S3_ENDPOINT or AWS_REGION"
        )


class StoreUnfit(FatalError):
    """The store has no conditional writes, or ignores their conditions."""

    def __init__(self, *, operation: str, reason: str) -> None:
        super().__init__(
            f"the object store can't do {operation}: {reason}. Publishing exactly once needs If-None-Match and "
            "If-Match on PUT: use a store that has them"
        )


class UnsupportedKey(FatalError):
    """An unexpected key below the prefix can't be addressed, so it can't be deleted."""

    def __init__(self, *, prefix: str, key: str | None) -> None:
        self.key = key
        found = f"the key {key!r}" if key else "a key with an empty or special segment"
        super().__init__(
            f"below {prefix} is {found}, which this worker can't address and readers must not find. Nothing was "
            "replaced or deleted; delete it by hand and submit the task again"
        )


class StoreUnavailable(RetryableError):
    """The object store did not answer, or failed."""

    def __init__(self, *, operation: str, key: str, reason: str) -> None:
        super().__init__(f"the object store failed {operation} on {key}: {reason}")


class StoredBytesDiffer(RetryableError):
    """The store accepted an object, but the stored bytes differ from those that were sent."""

    def __init__(self, *, key: str, difference: str) -> None:
        self.key = key
        super().__init__(
            f"the object store does not contain the bytes of {key} that were sent: {difference}. Nothing was "
            "published; the next attempt replaces it. If this repeats, the store or a proxy in front of it is broken"
        )


MIN_SKEW_SECONDS = 60.0
"""S3 rejects clocks that are 15 minutes off; a difference below this was measured after a correction."""


class ClockSkewed(RetryableError):
    """The store rejects requests because this machine's clock is wrong."""

    hits_every_attempt = True

    def __init__(self, *, difference_seconds: float | None) -> None:
        self.difference_seconds = difference_seconds
        if difference_seconds is None or abs(difference_seconds) < MIN_SKEW_SECONDS:
            how = "differs from the object store's"
        else:
            direction = "ahead of" if difference_seconds > 0 else "behind"
            how = f"is {abs(difference_seconds):.0f} s {direction} the object store's"
        super().__init__(
            f"this machine's clock {how}, so the object store rejects its requests: synchronize it (NTP, chrony). "
            "Nothing was published"
        )


class CredentialsExpired(RetryableError):
    """The store's credentials were temporary and have expired."""

    hits_every_attempt = True

    def __init__(self, *, code: str) -> None:
        super().__init__(
            f"the credentials for the object store have expired ({code}): renew AWS_SESSION_TOKEN and its keys, or use "
            "a role, whose credentials renew themselves. Nothing was published"
        )


class PrefixContended(RetryableError):
    """Another writer keeps changing the prefix, so that unexpected objects remain or expected ones are missing."""

    def __init__(self, *, prefix: str, reason: str) -> None:
        super().__init__(f"the prefix {prefix} keeps changing: {reason}. Another attempt is writing there")
