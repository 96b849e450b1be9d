"""Publishing in memory: a proof of text files, a publisher, and preloaded stores."""

import asyncio
from collections.abc import Awaitable, Mapping
from pathlib import Path
from random import Random

from support.proving import JumpingClock

from cryo_ingest.errors import ProofFailed
from cryo_ingest.layout import Chunk
from cryo_ingest.model import Task
from cryo_ingest.ports import AlreadyStored, Changed, ExtractedFile, Extraction, FileProof
from cryo_ingest.publish.prefix import VersionPrefix
from cryo_ingest.publish.upload import publish_files
from cryo_ingest.publish.version import Version
from harness.stores.memory import MemoryFault, MemoryStore

TASK = Task(
    dataset_uuid="0f8fad5b-d9cb-469f-a165-70867728950e",
    dataset_key="k",
    chain_id=1,
    cryo_dataset_name="blocks",
    rpc_pool="p",
    range_start=0,
    range_end=2500,
    config_hash="h",
)
REAL = Version.from_task(TASK, mode="real")
KEYS = list(REAL.manifest.parquet_keys)
COMPLETE = dict.fromkeys(KEYS, b"real rows abc") | {REAL.manifest_key: REAL.manifest.to_bytes()}


class WordProver:
    """Proves text files: `real rows abc` is complete, and its rows are the letters, in any order."""

    async def prepare(self) -> None:
        """Load nothing."""

    async def prove_rows(self, path: Path, chunk: Chunk) -> FileProof:
        """Prove a text file."""
        words = path.read_bytes().split()
        if len(words) < 3 or words[1] != b"rows":
            raise ProofFailed(file=chunk.name, evidence="other words")
        digest = path.read_bytes().hex()
        return FileProof(digest, path.stat().st_size, 3, chunk.start, chunk.end - 1, fake=words[0] == b"fake")

    async def confirm_with_node(
        self, path: Path, chunk: Chunk, *, rows_proof: FileProof, recorded: Mapping[str, str] | None = None
    ) -> FileProof:
        """Return the proof by rows."""
        del path, chunk, recorded
        return rows_proof

    async def same_rows(self, left: Path, right: Path) -> bool:
        """Compare letters as multisets."""
        return sorted(left.read_bytes()) == sorted(right.read_bytes())

    def is_fake(self, footer: bytes) -> bool | None:
        """Read the mark from the first word."""
        return {b"fake": True, b"real": False}.get(footer[:4])


def make_store(*faults: MemoryFault) -> MemoryStore:
    """Return an empty store in memory that raises the port's exceptions."""
    return MemoryStore(AlreadyStored, Changed, faults)


def extracted(folder: Path) -> Extraction:
    """Return an extraction of three complete files."""
    folder.mkdir()
    files = []
    for chunk in REAL.chunks:
        path = folder / chunk.name
        path.write_bytes(b"real rows abc")
        files.append(ExtractedFile(chunk, path, asyncio.run(WordProver().prove_rows(path, chunk))))
    return Extraction(tuple(files), 1, "binary")


class Publisher:
    """Publishes as one worker, with its own scratch directory."""

    def __init__(self, folder: Path, version: Version = REAL) -> None:
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.version = version

    def use_existing(self, store: MemoryStore) -> bool:
        """Keep the version if it is published; return whether it is."""
        return asyncio.run(self.prefix(store).use_existing_version())

    def publish(self, store: MemoryStore, extraction: Extraction) -> None:
        """Publish."""
        asyncio.run(self.publishing(store, extraction))

    def publishing(self, store: MemoryStore, extraction: Extraction) -> Awaitable[None]:
        """Return a coroutine that publishes."""
        return publish_files(self.prefix(store), extraction, metadata={"cryo-sha256": "binary"})

    def prefix(self, store: MemoryStore) -> VersionPrefix:
        """Return the version's prefix in a store."""
        return VersionPrefix(store, self.version, WordProver(), self.scratch, JumpingClock(), Random(1))


def holding(contents: Mapping[str, bytes], *faults: MemoryFault) -> MemoryStore:
    """Return a store with preloaded objects."""
    store = make_store(*faults)
    for key, content in contents.items():
        store.hold(key, content)
    store.journal.clear()
    return store
