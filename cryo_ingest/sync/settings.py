"""Reads the settings of jobs from the environment; an error names all invalid variables, also an attempt's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.settings import COUNT, TEXT, Reader, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryo_ingest.settings import Settings

DEFAULT_ORG_ID = "local"
MAX_CONCURRENCY = 64
"""As for a service: each attempt is a Cryo process and two threads; more have not been tested."""


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """The organization, which is part of the dataset ids, and the number of concurrent attempts of all streams."""

    org_id: str = DEFAULT_ORG_ID
    concurrency: int = 1


def sync_from_environment(environment: Mapping[str, str]) -> tuple[Settings, SyncSettings]:
    """Check the environment and return the settings of attempts and of jobs.

    Raises:
        ConfigurationError: some variables are invalid; it names all of them.
    """
    reader = Reader(environment)
    settings = read_settings(reader)
    sync = SyncSettings(
        org_id=reader.read("TRACE_ORG_ID", TEXT, default=DEFAULT_ORG_ID),
        concurrency=reader.read("TRACE_WORKER_CONCURRENCY", COUNT, default=1),
    )
    if sync.concurrency > MAX_CONCURRENCY:
        reader.problems["TRACE_WORKER_CONCURRENCY"] = f"must be at most {MAX_CONCURRENCY}"
    reader.raise_if_bad()
    return settings, sync
