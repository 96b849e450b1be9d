"""The command `catalog`: opens the store, prints the catalog or views, and returns the exit code."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cryo_ingest import logs
from cryo_ingest.audit.catalog import add_details, read_catalog
from cryo_ingest.audit.parts import has_config_hash
from cryo_ingest.audit.views import duckdb_views, polars_views
from cryo_ingest.publish.stores import open_store
from cryo_ingest.redact import Redactor
from cryo_ingest.tables import print_table

if TYPE_CHECKING:
    from cryo_ingest.audit.catalog import Catalog, CatalogVersion
    from cryo_ingest.settings import Settings

UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class CatalogRequest:
    """Where to look and what to print; without `config_hash`, versions with any are printed."""

    url: str
    prefix: str
    config_hash: str | None
    sql: Literal["duckdb", "polars"] | None
    as_json: bool


def catalog(request: CatalogRequest, *, settings: Settings) -> int:
    """Print the published versions, or views over their files; return 1 if a manifest can't be used.

    Raises:
        IngestError: the store failed.
    """
    logs.configure(settings.log_format, Redactor(settings.secrets()))
    found = asyncio.run(_read(request, settings))
    if request.sql is None:
        _print_versions(found, request)
    else:
        _print_views(found, request, settings)
    for key, problem in found.problems:
        sys.stderr.write(f"{key} {problem}; its version is left out\n")
    return 1 if found.problems else 0


async def _read(request: CatalogRequest, settings: Settings) -> Catalog:
    store = open_store(request.url, settings.s3)
    found = await read_catalog(store, request.prefix)
    if request.config_hash is not None:
        wanted = request.config_hash
        found = replace(found, versions=tuple(each for each in found.versions if has_config_hash(each, wanted)))
    return found if request.sql is not None else await add_details(store, found)


def _print_versions(found: Catalog, request: CatalogRequest) -> None:
    if request.as_json:
        sys.stdout.write(json.dumps([_to_json(version) for version in found.versions], indent=2) + "\n")
        return
    columns = ("chain", "dataset", "dataset_uuid", "start", "end", "version", "files", "bytes", "rows", "evidence")
    print_table("published versions", columns, [tuple(_cells(version)) for version in found.versions])


def _cells(version: CatalogVersion) -> list[object]:
    location = version.location
    return [
        location.chain_id,
        version.dataset,
        location.dataset_uuid,
        *version.blocks,
        location.dataset_version,
        len(version.files),
        version.size_bytes,
        UNKNOWN if version.rows is None else version.rows,
        version.evidence or UNKNOWN,
    ]


def _to_json(version: CatalogVersion) -> dict[str, Any]:
    return {
        "chain_id": version.location.chain_id,
        "dataset": version.dataset,
        "dataset_uuid": version.location.dataset_uuid,
        "range_start": version.blocks[0],
        "range_end": version.blocks[1],
        "dataset_version": version.location.dataset_version,
        "parquet_keys": [file.key for file in version.files],
        "bytes": version.size_bytes,
        "rows": version.rows,
        "evidence": version.evidence,
    }


def _print_views(found: Catalog, request: CatalogRequest, settings: Settings) -> None:
    store = open_store(request.url, settings.s3)
    root = store.reference("")
    start = f"s3://{root.bucket}/" if root.scheme == "s3" else root.prefix
    views = duckdb_views if request.sql == "duckdb" else polars_views
    s3 = settings.s3 if root.scheme == "s3" else None
    sys.stdout.writelines(line + "\n" for line in views(found, lambda key: start + key, s3=s3))
