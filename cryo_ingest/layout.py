"""A version's identity, its prefix and the names of its files: pure functions of the task.

Every attempt at a version computes the same names, so concurrent attempts write the same keys (LAY-9).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryo_ingest.model import Task

VERSION_NAMESPACE = uuid.UUID("6e484f2c-567a-44f3-8a5e-c0650b2a169f")
"""The UUIDv5 namespace of dataset versions (VER-2)."""

CHUNK_BLOCKS = 1000
"""Blocks in one of Cryo's files: Cryo's default, never changed (LAY-9)."""

MANIFEST_NAME = "_manifest.json"

NETWORK_NAMES = {
    1: "ethereum",
    5: "goerli",
    10: "optimism",
    56: "bnb",
    69: "optimism_kovan",
    100: "gnosis",
    137: "polygon",
    420: "optimism_goerli",
    1101: "polygon_zkevm",
    1442: "polygon_zkevm_testnet",
    8453: "base",
    10200: "gnosis_chidao",
    17000: "holesky",
    42161: "arbitrum",
    42170: "arbitrum_nova",
    43114: "avalanche",
    80001: "polygon_mumbai",
    84531: "base_goerli",
    7777777: "zora",
    11155111: "sepolia",
}
"""The names of chains, the first part of Cryo's file names (measured on Cryo 0.3.2)."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One file of a range: the blocks `[start, end)` in the file `name`."""

    start: int
    end: int
    name: str


def network_name(chain_id: int) -> str:
    """Return the network name that Cryo 0.3.2 gives a chain id."""
    return NETWORK_NAMES.get(chain_id, f"network_{chain_id}")


def dataset_version(task: Task) -> str:
    """Return the deterministic version of a task's output: the same for every attempt, machine and day (VER-1)."""
    blocks = (task.range_start, task.range_end)
    return version_of(task.dataset_uuid, task.config_hash, chain_id=task.chain_id, blocks=blocks)


def version_of(dataset_uuid: str, config_hash: str, *, chain_id: int, blocks: tuple[int, int]) -> str:
    """Return the version of a task with these fields (VER-2)."""
    name = f"cryo_ingest:{dataset_uuid}:{config_hash}:{chain_id}:{blocks[0]}:{blocks[1]}"
    return str(uuid.uuid5(VERSION_NAMESPACE, name))


def prefix(task: Task) -> str:
    """Return the version's key prefix, relative to the bucket, with its trailing slash (LAY-1)."""
    return version_prefix(
        task.chain_id,
        task.dataset_uuid,
        blocks=(task.range_start, task.range_end),
        dataset_version=dataset_version(task),
    )


def version_prefix(chain_id: int, dataset_uuid: str, *, blocks: tuple[int, int], dataset_version: str) -> str:
    """Return the prefix of LAY-1 for a version whose name is known already."""
    return f"cryo/{chain_id}/{dataset_uuid}/{blocks[0]}_{blocks[1]}/{dataset_version}/"


def evidence_subject(task: Task, chunk: Chunk) -> str:
    """Return the identity of a chunk; recorded evidence is accepted for the chunk only if it has the same identity."""
    return f"{task.chain_id}:{task.cryo_dataset_name}:{chunk.start}:{chunk.end}"


def file_count(task: Task) -> int:
    """Return the number of files of a range, without listing them."""
    return -(-(task.range_end - task.range_start) // CHUNK_BLOCKS)


def chunks(task: Task) -> tuple[Chunk, ...]:
    """Return the exact set of a range's files, in block order.

    Cryo splits the range into chunks from its start, unaligned; names have the inclusive end, padded to eight
    digits (measured on Cryo 0.3.2).
    """
    return tuple(
        Chunk(start, end, file_name(task.chain_id, task.cryo_dataset_name, blocks=(start, end)))
        for start, end in _split(task.range_start, task.range_end)
    )


def file_names(chain_id: int, dataset: str, *, blocks: tuple[int, int]) -> tuple[str, ...]:
    """Return the names of a range's files, in block order."""
    return tuple(file_name(chain_id, dataset, blocks=chunk) for chunk in _split(*blocks))


def file_name(chain_id: int, dataset: str, *, blocks: tuple[int, int]) -> str:
    """Return the name of the file with one chunk's blocks."""
    return f"{network_name(chain_id)}__{dataset}__{blocks[0]:08d}_to_{blocks[1] - 1:08d}.parquet"


def _split(start: int, end: int) -> list[tuple[int, int]]:
    return [(first, min(first + CHUNK_BLOCKS, end)) for first in range(start, end, CHUNK_BLOCKS)]
