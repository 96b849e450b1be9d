"""What is derived from a job: dataset ids, config hashes and task payloads, as the platform derives them.

A range that was published by the platform is therefore found here under the same version, and the other way round.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryo_ingest import layout
from cryo_ingest.model import parse_task

if TYPE_CHECKING:
    from cryo_ingest.model import Task
    from cryo_ingest.sync.job import Job, Stream

DATASET_NAMESPACE = uuid.UUID("1f55c495-7e91-4433-8b4a-0c088c5a5c7f")
"""The UUIDv5 namespace of the platform's dataset ids."""

OPERATOR = "cryo_ingest"

Blocks = tuple[int, int]
"""A range of blocks, end-exclusive."""


@dataclass(frozen=True, slots=True)
class DerivedStream:
    """A stream with the identity of its dataset."""

    stream: Stream
    chain_id: int
    dataset_uuid: str
    config_hash: str

    @property
    def key(self) -> str:
        """The stream's `dataset_key`."""
        return self.stream.dataset_key

    @property
    def prefix(self) -> str:
        """The key prefix of all versions of the dataset."""
        return f"cryo/{self.chain_id}/{self.dataset_uuid}/"

    def payload(self, blocks: Blocks) -> dict[str, Any]:
        """Return the payload of the task for one range, in the reference's order of fields."""
        return {
            "operator": OPERATOR,
            "dataset_uuid": self.dataset_uuid,
            "dataset_key": self.stream.dataset_key,
            "chain_id": self.chain_id,
            "cryo_dataset_name": self.stream.cryo_dataset_name,
            "rpc_pool": self.stream.rpc_pool,
            "range_start": blocks[0],
            "range_end": blocks[1],
            "config_hash": self.config_hash,
        }

    def task(self, blocks: Blocks) -> Task:
        """Return the task for one range."""
        return parse_task(self.payload(blocks))

    def dataset_version(self, blocks: Blocks) -> str:
        """Return the version of one range (VER-2)."""
        return layout.version_of(self.dataset_uuid, self.config_hash, chain_id=self.chain_id, blocks=blocks)

    def file_names(self, blocks: Blocks) -> tuple[str, ...]:
        """Return the names of the Parquet files of one range."""
        return layout.file_names(self.chain_id, self.stream.cryo_dataset_name, blocks=blocks)


def dataset_uuid(org_id: str, chain_id: int, dataset_key: str) -> str:
    """Return the id of a stream's dataset: the same for all jobs of an organization."""
    return str(uuid.uuid5(DATASET_NAMESPACE, f"chain_sync:{org_id}:{chain_id}:{dataset_key}"))


def derive_streams(job: Job, *, org_id: str) -> tuple[DerivedStream, ...]:
    """Return the job's streams with their identities, in the job's order."""
    return tuple(
        DerivedStream(
            stream=stream,
            chain_id=job.chain_id,
            dataset_uuid=dataset_uuid(org_id, job.chain_id, stream.dataset_key),
            config_hash=f"{OPERATOR}.{stream.cryo_dataset_name}:v1",
        )
        for stream in job.streams
    )
