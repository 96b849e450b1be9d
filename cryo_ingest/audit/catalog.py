"""`cryo-ingest catalog`: the published versions of a store, from its manifests.

A version is in the catalog if its manifest is valid and all files that it lists are there. Files without a manifest
are not: an attempt is writing them, or has failed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from cryo_ingest import layout
from cryo_ingest.audit.locations import dataset_of, split_key
from cryo_ingest.levels import LEVELS
from cryo_ingest.model import parse_manifest
from cryo_ingest.ports import ObjectStore
from cryo_ingest.publish.ownership import MAX_MANIFEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from cryo_ingest.audit.locations import Location
    from cryo_ingest.model import Manifest
    from cryo_ingest.ports import StoredObject

T = TypeVar("T")

REQUESTS_IN_FLIGHT = 32
FOOTER_BYTES = 256 * 1024
"""More than the footer of any of Cryo's files, as in `publish.prefix`."""


class CatalogStore(ObjectStore, Protocol):
    """A store whose metadata can be read without the objects' content."""

    async def metadata(self, stored: StoredObject) -> Mapping[str, str] | None:
        """Return a listed object's user metadata, None if it is gone; empty in a store that keeps none."""
        ...


@dataclass(frozen=True, slots=True)
class CatalogVersion:
    """A published version; `rows` and `evidence` are None if they were not read, or if the store does not have them.

    `evidence` is the lowest level at which a file was proved.
    """

    location: Location
    dataset: str
    files: tuple[StoredObject, ...]
    rows: int | None = None
    evidence: str | None = None

    @property
    def blocks(self) -> tuple[int, int]:
        """The version's blocks, end-exclusive."""
        return self.location.range_start, self.location.range_end

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The versions by chain, dataset and range; `problems` names manifests that can't be used, and why."""

    versions: tuple[CatalogVersion, ...]
    problems: tuple[tuple[str, str], ...]


async def read_catalog(store: ObjectStore, prefix: str) -> Catalog:
    """Read the manifests below a prefix of keys.

    Raises:
        IngestError: the store failed.
    """
    listed = await store.list(prefix)
    manifests = sorted(key for key in listed if key.endswith("/" + layout.MANIFEST_NAME) and split_key(key))

    async def read(key: str) -> CatalogVersion | tuple[str, str]:
        content = await store.read(key, max_bytes=MAX_MANIFEST_BYTES)
        return _version_of(key, content, listed)

    found = await _in_parallel(read, manifests)
    versions = [each for each in found if isinstance(each, CatalogVersion)]
    return Catalog(
        tuple(sorted(versions, key=_order)), tuple(problem for problem in found if isinstance(problem, tuple))
    )


async def add_details(store: CatalogStore, catalog: Catalog) -> Catalog:
    """Add rows and levels of proof: from metadata, one request per file, or in a store without them from footers.

    Raises:
        IngestError: the store failed.
    """
    files = [file for version in catalog.versions for file in version.files]

    async def details(stored: StoredObject) -> tuple[int | None, str | None]:
        metadata = await store.metadata(stored) or {}
        rows, evidence = metadata.get("rows", ""), metadata.get("evidence")
        known = evidence if evidence in LEVELS else None
        if rows.isascii() and rows.isdecimal() and len(rows) <= len(str(2**63)):
            return int(rows), known
        return await _rows_in_footer(store, stored), known

    found = dict(zip((file.key for file in files), await _in_parallel(details, files), strict=True))
    return replace(catalog, versions=tuple(_with_details(version, found) for version in catalog.versions))


def _with_details(version: CatalogVersion, details: Mapping[str, tuple[int | None, str | None]]) -> CatalogVersion:
    """Add up the rows of a version's files; an unknown number or level of one file makes the version's unknown."""
    rows = [number for file in version.files if (number := details[file.key][0]) is not None]
    levels = [level for file in version.files if (level := details[file.key][1]) is not None]
    complete = len(version.files)
    return replace(
        version,
        rows=sum(rows) if len(rows) == complete else None,
        evidence=min(levels, key=LEVELS.index) if levels and len(levels) == complete else None,
    )


def _version_of(
    manifest_key: str, content: bytes | None, listed: Mapping[str, StoredObject]
) -> CatalogVersion | tuple[str, str]:
    """Return the version of a manifest, or the manifest's key and its problem."""
    located = split_key(manifest_key)
    manifest = None if content is None else parse_manifest(content)
    if located is None or manifest is None:
        return manifest_key, "is not a manifest"
    location, _ = located
    problem = _problem(manifest, location, listed)
    if problem is not None:
        return manifest_key, problem
    datasets = {dataset_of(key.removeprefix(location.prefix)) for key in manifest.parquet_keys}
    dataset = datasets.pop()
    if dataset is None or datasets:
        return manifest_key, "lists other files than those of one dataset"
    return CatalogVersion(location, dataset, tuple(listed[key] for key in manifest.parquet_keys))


def _problem(manifest: Manifest, location: Location, listed: Mapping[str, StoredObject]) -> str | None:
    if (manifest.dataset_uuid, manifest.dataset_version) != (location.dataset_uuid, location.dataset_version):
        return "names another dataset or version than its prefix"
    if location.range_start >= location.range_end or not manifest.parquet_keys:
        return "has no blocks"
    if any(not key.startswith(location.prefix) for key in manifest.parquet_keys):
        return "lists keys outside its prefix"
    missing = [key for key in manifest.parquet_keys if key not in listed]
    return f"lists {len(missing)} file(s) that are not stored; the first is {missing[0]}" if missing else None


def _order(version: CatalogVersion) -> tuple[int, str, str, int, int, str]:
    location = version.location
    return (location.chain_id, version.dataset, location.dataset_uuid, *version.blocks, location.dataset_version)


async def _rows_in_footer(store: ObjectStore, stored: StoredObject) -> int | None:
    """Return the number of rows in a file's footer, None if the footer can't be read."""
    from cryo_ingest.prove.footer import read_footer  # noqa: PLC0415 - loads pyarrow

    tail = await store.read_tail(stored, max_bytes=FOOTER_BYTES)
    footer = None if tail is None else await asyncio.to_thread(read_footer, tail)
    return None if footer is None else int(footer.num_rows)


async def _in_parallel(action: Callable[..., Awaitable[T]], items: Iterable[object]) -> list[T]:
    """Return the action's results in the items' order, with a bounded number of requests in flight."""
    numbered, results = enumerate(items), dict[int, T]()

    async def work() -> None:
        for place, item in numbered:
            results[place] = await action(item)

    tasks = [asyncio.ensure_future(work()) for _ in range(REQUESTS_IN_FLIGHT)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return [results[place] for place in range(len(results))]


def unique_names(keys: Iterable[tuple[int, str, str]]) -> dict[tuple[int, str, str], str]:
    """Return a name for each (chain, dataset, dataset_uuid), such as `ethereum_logs`.

    If two datasets would have the same name, both get the start of their UUIDs.
    """
    by_name: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for key in keys:
        by_name[f"{layout.network_name(key[0])}_{key[1]}"].append(key)
    return {
        key: name if len(same) == 1 else f"{name}_{key[2].replace('-', '')}"
        for name, same in by_name.items()
        for key in same
    }
