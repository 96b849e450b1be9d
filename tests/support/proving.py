"""Proves files as an attempt does: by rows, then with a node, through the worker's own client."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cryo_ingest.datasets import all_datasets
from cryo_ingest.layout import Chunk, chunks
from cryo_ingest.levels import Level
from cryo_ingest.model import Task
from cryo_ingest.ports import FileProof
from cryo_ingest.prove.level import make_prover
from cryo_ingest.rpc.client import HttpChain
from cryo_ingest.rpc.endpoint import open_endpoint
from cryo_ingest.settings import RpcPools, Settings
from harness.world.chain import Chain
from harness.world.tables import build


@dataclass
class JumpingClock:
    """A clock that skips every wait and records its length."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """Return the current time."""
        return self.now

    def time(self) -> float:
        """Return the current time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move the time forward."""
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def task_of(dataset: str, start: int, end: int, chain_id: int = 1) -> Task:
    """Return a task for a range."""
    return Task(
        dataset_uuid="0f8fad5b-d9cb-469f-a165-70867728950e",
        dataset_key="proof",
        chain_id=chain_id,
        cryo_dataset_name=dataset,
        rpc_pool="local",
        range_start=start,
        range_end=end,
        config_hash="h",
    )


def settings_of(urls: str, level: Level | None = None, confirmations: int | None = None) -> Settings:
    """Return settings of real mode for a pool of endpoints."""
    pools = RpcPools({"TRACE_CRYO_RPC_URL": urls})
    return Settings(mode="real", configured_proof_level=level, confirmations=confirmations, rpc=pools)


async def prove_files(task: Task, settings: Settings, files: dict[Chunk, Path]) -> list[FileProof]:
    """Prove some files of a task at the level of the settings."""
    clock = JumpingClock()
    async with open_endpoint(task, settings=settings, chain=HttpChain(settings, clock), clock=clock) as endpoint:
        prover = make_prover(task, all_datasets()[task.cryo_dataset_name], settings=settings, endpoint=endpoint)
        return [
            await prover.confirm_with_node(path, chunk, rows_proof=await prover.prove_rows(path, chunk))
            for chunk, path in files.items()
        ]


def prove_tables(task: Task, settings: Settings, tables: list[pa.Table], folder: Path) -> list[FileProof]:
    """Write one table for each chunk and prove them all."""
    files = {}
    for chunk, table in zip(chunks(task), tables, strict=True):
        files[chunk] = folder / chunk.name
        pq.write_table(table, files[chunk])
    return asyncio.run(prove_files(task, settings, files))


def true_tables(chain: Chain, task: Task) -> list[pa.Table]:
    """Return the tables that Cryo extracts from a chain, one for each chunk."""
    return [build(chain, task.cryo_dataset_name, range(chunk.start, chunk.end)) for chunk in chunks(task)]
