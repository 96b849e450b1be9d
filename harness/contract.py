"""Rules of the contract that fakes, checks and reports share: versions, prefixes, file and network names.

They follow contract.md and the measured names of Cryo 0.3.2, independently of any worker. The reference worker has its
own code for them on purpose.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, Literal, get_args

from harness.resources import fixtures

VERSION_NAMESPACE = uuid.UUID("6e484f2c-567a-44f3-8a5e-c0650b2a169f")
"""The namespace of VER-2."""

MANIFEST_NAME = "_manifest.json"
"""The name of the manifest (LAY-3)."""

CHUNK_BLOCKS = 1000
"""Cryo's default (LAY-9); the first chunk begins at the start of the range."""

NAME = re.compile(r"[a-z0-9_]{1,64}")
UUID_IN_ANY_CASE = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
LAST_BLOCK = 4_294_967_295

Level = Literal["rows", "chain", "receipts"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The levels of proof, each of which includes those before it (RNG-4)."""
CHAIN_LEVEL_DATASETS = frozenset(
    ("blocks", "transactions", "logs", "erc20_transfers", "erc721_transfers", "traces", "geth_calls")
)
"""The datasets whose rows level `chain` compares with a node's answers; the others are proved by rows only."""


def payload_is_valid(payload: Any) -> bool:
    """Return whether anything may be published for a payload (PAY-1, PAY-5)."""
    if not isinstance(payload, Mapping):
        return False
    texts = [
        payload.get(name) for name in ("dataset_uuid", "dataset_key", "cryo_dataset_name", "rpc_pool", "config_hash")
    ]
    chain_id, start, end = (payload.get(name) for name in ("chain_id", "range_start", "range_end"))
    if not all(isinstance(text, str) and text for text in texts):
        return False
    if type(chain_id) is not int or type(start) is not int or type(end) is not int:
        return False
    named = all(NAME.fullmatch(payload[name]) for name in ("dataset_key", "cryo_dataset_name"))
    known = UUID_IN_ANY_CASE.fullmatch(payload["dataset_uuid"]) is not None
    return named and known and chain_id > 0 and 0 <= start < end <= LAST_BLOCK


def dataset_version(payload: Mapping[str, Any]) -> str:
    """Return the deterministic version of a payload (VER-2)."""
    parts = [str(payload["dataset_uuid"]).lower(), payload["config_hash"], payload["chain_id"]]
    parts += [payload["range_start"], payload["range_end"]]
    return _version_of(":".join(["cryo_ingest", *map(str, parts)]))


@lru_cache(maxsize=1024)
def _version_of(identity: str) -> str:
    return str(uuid.uuid5(VERSION_NAMESPACE, identity))


def prefix(payload: Mapping[str, Any]) -> str:
    """Return the prefix of a payload's version (LAY-1), with a slash at the end."""
    block_range = f"{payload['range_start']}_{payload['range_end']}"
    owner = f"{payload['chain_id']}/{str(payload['dataset_uuid']).lower()}"
    return f"cryo/{owner}/{block_range}/{dataset_version(payload)}/"


def manifest(payload: Mapping[str, Any], keys: Iterable[str]) -> bytes:
    """Return a manifest of a payload's version that lists some keys, in the form of LAY-7."""
    owner = str(payload["dataset_uuid"]).lower()
    fields = {"version": 1, "dataset_uuid": owner, "dataset_version": dataset_version(payload)}
    return json.dumps(fields | {"parquet_keys": sorted(keys)}, separators=(",", ":")).encode() + b"\n"


@cache
def network_name(chain_id: int) -> str:
    """Return the name of a chain in Cryo 0.3.2's file names; an unknown chain is `network_ID`."""
    path = fixtures() / "golden" / "cryo_schemas.json"
    names = json.loads(path.read_text(encoding="utf-8"))["meta"]["network_names"]
    return str(names.get(str(chain_id), f"network_{chain_id}"))


def chunks(first: int, end: int) -> list[range]:
    """Return the chunks into which Cryo divides a range."""
    return [range(start, min(end, start + CHUNK_BLOCKS)) for start in range(first, end, CHUNK_BLOCKS)]


def file_name(chain_id: int, dataset: str, chunk: range) -> str:
    """Return the name of a chunk's file in Cryo; block numbers have at least eight digits."""
    return f"{network_name(chain_id)}__{dataset}__{chunk.start:08d}_to_{chunk.stop - 1:08d}.parquet"
