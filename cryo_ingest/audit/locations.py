"""Where published data lie: references and keys read back into ranges, datasets and versions. Pure functions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from cryo_ingest import layout
from cryo_ingest.errors import BadPayload
from cryo_ingest.model import UUID_PATTERN, Task, parse_task

_UUID = UUID_PATTERN.strip("^$").removesuffix("\\Z")
_VERSION = re.compile(
    rf"cryo/(?P<chain>[0-9]{{1,19}})/(?P<uuid>{_UUID})/(?P<start>[0-9]{{1,10}})_(?P<end>[0-9]{{1,10}})/(?P<version>{_UUID})/"
)
_DATASET = re.compile(rf"cryo/[0-9]{{1,19}}/{_UUID}/")
_FILE = re.compile(r"(?P<network>[a-z0-9_]+?)__(?P<dataset>[a-z0-9_]+)__[0-9]{8,10}_to_[0-9]{8,10}\.parquet")


class BadReference(ValueError):
    """A reference names no place of published data; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class Location:
    """One version's prefix: what its name says; `config_hash` only where a publication told it."""

    chain_id: int
    dataset_uuid: str
    range_start: int
    range_end: int
    dataset_version: str
    config_hash: str | None = None

    @property
    def prefix(self) -> str:
        """The key prefix (LAY-1)."""
        blocks = (self.range_start, self.range_end)
        return layout.version_prefix(self.chain_id, self.dataset_uuid, blocks, dataset_version=self.dataset_version)

    def task(self, dataset: str, *, rpc_pool: str = "none") -> Task:
        """Return the task that a dataset's files here answer to.

        Raises:
            BadReference: no payload could ask for such a range.
        """
        try:
            return parse_task(
                {
                    "dataset_uuid": self.dataset_uuid,
                    "dataset_key": "audit",
                    "chain_id": self.chain_id,
                    "cryo_dataset_name": dataset,
                    "rpc_pool": rpc_pool,
                    "range_start": self.range_start,
                    "range_end": self.range_end,
                    "config_hash": self.config_hash or "unknown",
                }
            )
        except BadPayload as error:
            raise BadReference(f"{self.prefix} is no version's prefix: {error}") from None


def location_of(prefix: str) -> Location | None:
    """Read a version's prefix back; None where it is none."""
    match = _VERSION.fullmatch(prefix)
    if match is None:
        return None
    start, end = int(match["start"]), int(match["end"])
    return Location(int(match["chain"]), match["uuid"], start, end, match["version"])


def split_key(key: str) -> tuple[Location, str] | None:
    """Split a key into its version's place and the name below it; None where it lies in no version."""
    match = _VERSION.match(key)
    if match is None:
        return None
    location = location_of(match[0])
    return (location, key[match.end() :]) if location else None


def dataset_of(name: str) -> str | None:
    """Return the dataset that a file's name tells, or None."""
    match = _FILE.fullmatch(name)
    return match["dataset"] if match else None


def names_called_for(location: Location, dataset: str) -> set[str]:
    """Return the names of exactly the files that a version of a dataset has."""
    return {chunk.name for chunk in layout.chunks(location.task(dataset))}


def read_reference(text: str) -> tuple[str, Location]:
    """Return the store's URL and the place that a reference names: a prefix's URL, or a publication's JSON.

    Raises:
        BadReference: it is neither.
    """
    if text.lstrip().startswith("{"):
        return _from_publication(text)
    store, key = split_url(text)
    location = location_of(key if key.endswith("/") else key + "/")
    if location is None:
        raise BadReference(
            "must end in cryo/CHAIN/DATASET_UUID/START_END/VERSION/, or be a publication's JSON, as `run` prints it"
        )
    return store, location


def read_dataset_reference(text: str) -> tuple[str, str]:
    """Return the store's URL and the prefix of a dataset on a chain.

    Raises:
        BadReference: it is none.
    """
    store, key = split_url(text)
    prefix = key if key.endswith("/") else key + "/"
    if not _DATASET.fullmatch(prefix):
        raise BadReference("must be s3://bucket/cryo/CHAIN/DATASET_UUID/ or file:///directory/cryo/CHAIN/DATASET_UUID/")
    return store, prefix


def split_url(text: str) -> tuple[str, str]:
    """Split a URL into the store's own and the key after it.

    Raises:
        BadReference: it holds no key below `cryo/`.
    """
    match = re.fullmatch(r"((?:s3|file)://.+?)/(cryo/[0-9]+/.*)", text)
    if match is None:
        raise BadReference("must be an s3:// or file:// URL with a key below cryo/")
    return match[1], match[2]


def _from_publication(text: str) -> tuple[str, Location]:
    try:
        fields: dict[str, Any] = json.loads(text)
        where = fields["storage_ref"]
        url = f"s3://{where['bucket']}/{where['prefix']}" if where["scheme"] == "s3" else f"file://{where['prefix']}"
        store, location = read_reference(url)
        told = (fields["dataset_uuid"], fields["dataset_version"], fields["range_start"], fields["range_end"])
        config_hash = str(fields["config_hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadReference("is no publication's JSON: see PUB-1 and PUB-2") from None
    if told != (location.dataset_uuid, location.dataset_version, location.range_start, location.range_end):
        raise BadReference("is a publication whose fields and storage_ref name different versions")
    return store, Location(location.chain_id, told[0], told[2], told[3], told[1], config_hash)
