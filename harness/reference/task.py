"""A task and the names derived from it: version, prefix, files; `payload.py` parses it.

The ids in this package, such as VER-2, are clauses of docs/contract.md.
"""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import dataclass
from functools import cache

from harness.reference.bugs import has_bug
from harness.resources import fixtures

NAMESPACE = uuid.UUID("6e484f2c-567a-44f3-8a5e-c0650b2a169f")
"""The UUID namespace of dataset versions (VER-2)."""

CHUNK_BLOCKS = 1000
"""Cryo's default chunk size, in blocks (LAY-9)."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One file of the range and its blocks, `last` included."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Task:
    """A valid payload: all fields are present, with allowed types and values (PAY-1, PAY-4, PAY-5)."""

    dataset_uuid: str
    dataset_key: str
    chain_id: int
    cryo_dataset_name: str
    rpc_pool: str
    range_start: int
    range_end: int
    config_hash: str

    @property
    def version(self) -> str:
        """The dataset version, a UUID derived from the fields of the task (VER-2)."""
        dataset_uuid = self.dataset_uuid.upper() if has_bug("version-of-upper-case") else self.dataset_uuid
        name = f"cryo_ingest:{dataset_uuid}:{self.config_hash}:{self.chain_id}:{self.range_start}:{self.range_end}"
        if has_bug("version-is-random"):
            name += secrets.token_hex(4)
        return str(uuid.uuid5(NAMESPACE, name))

    def prefix(self, version: str) -> str:
        """Return the prefix below which the objects of a version are stored (LAY-1)."""
        span = f"{self.range_start}_{self.range_end}"
        if has_bug("pads-the-prefix"):
            span = f"{self.range_start:08}_{self.range_end:08}"
        return f"cryo/{self.chain_id}/{self.dataset_uuid}/{span}/{version}/"

    @property
    def end(self) -> int:
        """The exclusive end of the extracted range."""
        return self.range_end + 1 if has_bug("pads-the-range") else self.range_end

    def chunks(self) -> list[Chunk]:
        """Return the files that Cryo writes for the range."""
        network = self.rpc_pool if has_bug("network-of-the-pool") else network_name(self.chain_id)
        chunks = []
        for first in range(self.range_start, self.end, CHUNK_BLOCKS):
            last = min(first + CHUNK_BLOCKS, self.end) - 1
            name = f"{network}__{self.cryo_dataset_name}__{first:08}_to_{last:08}.parquet"
            chunks.append(Chunk(name, first, last))
        return chunks


@cache
def network_name(chain_id: int) -> str:
    """Return the name that Cryo 0.3.2 gives a chain in file names."""
    path = fixtures() / "golden" / "cryo_schemas.json"
    names = json.loads(path.read_text(encoding="utf-8"))["meta"]["network_names"]
    return str(names.get(str(chain_id), f"network_{chain_id}"))
