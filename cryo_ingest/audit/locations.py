"""Parses references and keys of published data into ranges, datasets and versions. Pure functions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

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
    """A reference is invalid; the message says what a valid one looks like."""


@dataclass(frozen=True, slots=True)
class Location:
    """The parts of a version's prefix; `config_hash` is only known from a publication."""

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
        return layout.version_prefix(
            self.chain_id, self.dataset_uuid, blocks=blocks, dataset_version=self.dataset_version
        )

    def task(self, dataset: str, *, rpc_pool: str = "none") -> Task:
        """Return the task of a dataset's files at this location.

        Raises:
            BadReference: no payload can have such a range.
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
            raise BadReference(f"{self.prefix} is not a version's prefix: {error}") from None


def location_of(prefix: str) -> Location | None:
    """Parse a version's prefix; None if it is not one."""
    match = _VERSION.fullmatch(prefix)
    if match is None:
        return None
    start, end = int(match["start"]), int(match["end"])
    return Location(int(match["chain"]), match["uuid"], start, end, match["version"])


def split_key(key: str) -> tuple[Location, str] | None:
    """Split a key into its version's location and the name below it; None if it belongs to no version."""
    match = _VERSION.match(key)
    if match is None:
        return None
    location = location_of(match[0])
    return (location, key[match.end() :]) if location else None


def dataset_of(name: str) -> str | None:
    """Return the dataset in a file's name, or None."""
    match = _FILE.fullmatch(name)
    return match["dataset"] if match else None


def expected_names(location: Location, dataset: str) -> set[str]:
    """Return the exact set of file names of a version of a dataset."""
    return {chunk.name for chunk in layout.chunks(location.task(dataset))}


def read_reference(text: str) -> tuple[str, Location]:
    """Return the store's URL and the location in a reference: a prefix's URL, or a publication's JSON.

    Raises:
        BadReference: it has another form.
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
        BadReference: the text is not the URL of a dataset.
    """
    store, key = split_url(text)
    prefix = key if key.endswith("/") else key + "/"
    if not _DATASET.fullmatch(prefix):
        raise BadReference("must be s3://bucket/cryo/CHAIN/DATASET_UUID/ or file:///directory/cryo/CHAIN/DATASET_UUID/")
    return store, prefix


def read_catalog_reference(text: str) -> tuple[str, str]:
    """Return the store's URL and a prefix of keys: all of `cryo/`, a chain or a dataset.

    Raises:
        BadReference: the text is not such a URL.
    """
    match = re.fullmatch(rf"((?:s3|file)://.+?)(/cryo(?:/[0-9]{{1,19}}(?:/{_UUID})?)?)?/*", text)
    if match is None:
        raise BadReference(
            "must be s3://bucket or file:///directory, or below it cryo/CHAIN/ or cryo/CHAIN/DATASET_UUID/"
        )
    return match[1], (match[2] or "/cryo")[1:] + "/"


def split_url(text: str) -> tuple[str, str]:
    """Split a URL into the store's URL and the key.

    Raises:
        BadReference: it has no key below `cryo/`.
    """
    match = re.fullmatch(r"((?:s3|file)://.+?)/(cryo/[0-9]+/.*)", text)
    if match is None:
        raise BadReference("must be an s3:// or file:// URL with a key below cryo/")
    return match[1], match[2]


def _from_publication(text: str) -> tuple[str, Location]:
    try:
        fields: dict[str, Any] = json.loads(text)
        where = fields["storage_ref"]
        url = (
            f"s3://{where['bucket']}/{where['prefix']}"
            if where["scheme"] == "s3"
            else f"file://{quote(where['prefix'])}"
        )
        store, location = read_reference(url)
        values = (fields["dataset_uuid"], fields["dataset_version"], fields["range_start"], fields["range_end"])
        config_hash = str(fields["config_hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadReference("is not a publication's JSON: see PUB-1 and PUB-2") from None
    if values != (location.dataset_uuid, location.dataset_version, location.range_start, location.range_end):
        raise BadReference("is a publication whose fields and storage_ref name different versions")
    return store, Location(location.chain_id, values[0], values[2], values[3], values[1], config_hash)
