"""The interfaces that an attempt uses, as narrow Protocols; each docstring states what an implementation guarantees.

Object stores are in `store`, nodes in `node`.

Implementations: `extract` (Extractor, Staging), `publish` (ObjectStore), `prove` (Prover), `rpc` (Chain, Node), and the
doubles of the tests. An implementation maps foreign errors to `cryo_ingest.errors`, once.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

from cryo_ingest.layout import Chunk
from cryo_ingest.levels import LEVELS
from cryo_ingest.model import Task
from cryo_ingest.ports.node import Call, Chain, FindOther, Limiter, Node, NodeError
from cryo_ingest.ports.store import AlreadyStored, Changed, ObjectStore, StoredObject

__all__ = [
    "AlreadyStored",
    "Call",
    "Chain",
    "Changed",
    "Clock",
    "ExtractedFile",
    "Extraction",
    "ExtractionRequest",
    "Extractor",
    "FileProof",
    "FindOther",
    "Limiter",
    "MakeProver",
    "Node",
    "NodeError",
    "ObjectStore",
    "Ports",
    "ProveFile",
    "Prover",
    "Staging",
    "StoredObject",
    "Workspace",
]


@dataclass(frozen=True, slots=True)
class FileProof:
    """What was proved about one Parquet file, identified by the SHA-256 of its bytes.

    `block_min` and `block_max` are None for a file without rows; `fake` is the mark of MOD-5. `evidence` is the level
    that was proved; `details` are counts and a digest of the node's answers, for levels above `rows`.
    """

    sha256: str
    size_bytes: int
    rows: int
    block_min: int | None
    block_max: int | None
    fake: bool
    evidence: str = "rows"
    details: Mapping[str, str] = field(default_factory=dict)


ProveFile = Callable[[Path, Chunk], Awaitable[FileProof]]
"""Proves by its rows that a file contains its chunk; raises ProofFailed or UnexpectedSchema."""


class Prover(Protocol):
    """Proves local files of one task's version; reads them as untrusted input and never writes."""

    async def prepare(self) -> None:
        """Load what proofs need, which takes time; called while Cryo starts."""
        ...

    async def prove_rows(self, path: Path, chunk: Chunk) -> FileProof:
        """Prove a file by its rows alone.

        Raises:
            ProofFailed: it does not contain the chunk's rows.
            UnexpectedSchema: its columns do not match the dataset's.
        """
        ...

    async def confirm_with_node(
        self, path: Path, chunk: Chunk, *, rows_proof: FileProof, recorded: Mapping[str, str] | None = None
    ) -> FileProof:
        """Prove a file at the configured level, and return its proof; `rows_proof` is its proof by rows.

        At level `rows` no node is asked. `recorded` is the metadata of a stored object with the same bytes; the level
        in it is accepted if it was proved for the same chunk. The level of the result is `rows` if the node offers
        nothing to compare the rows with.

        Raises:
            ProofFailed: the node does not confirm the rows.
            NodeUnavailable, RangeNotFinal, WrongChain, EndpointUnusable, RpcPoolUnresolved: no node could be asked.
        """
        ...

    async def same_rows(self, left: Path, right: Path) -> bool:
        """Return whether two proved files contain equal multisets of rows (LAY-10)."""
        ...

    def is_fake(self, footer: bytes) -> bool | None:
        """Return whether a file has the mark of fake data (MOD-5), from its last bytes; None without a footer."""
        ...


MakeProver = Callable[..., Prover]
"""Makes the prover of one task, with the parameters of `prove.level.make_prover`."""


@dataclass(frozen=True, slots=True)
class ExtractionRequest:
    """The input of an extraction; `rpc_url` is None in fake mode, and a secret otherwise.

    `deadline` is the monotonic time at which the attempt ends.
    """

    task: Task
    chunks: tuple[Chunk, ...]
    directory: Path
    inherited_descriptors: tuple[int, ...]
    rpc_url: str | None = field(default=None, repr=False)
    deadline: float = math.inf


@dataclass(frozen=True, slots=True)
class ExtractedFile:
    """One chunk's file in the staging directory, with its proof."""

    chunk: Chunk
    path: Path
    proof: FileProof


@dataclass(frozen=True, slots=True)
class Extraction:
    """A complete range on local disk, in block order, and the SHA-256 of the Cryo that wrote it."""

    files: tuple[ExtractedFile, ...]
    runs: int
    executable_sha256: str

    @property
    def rows(self) -> int:
        """The number of rows of all files."""
        return sum(file.proof.rows for file in self.files)

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(file.proof.size_bytes for file in self.files)

    @property
    def evidence(self) -> str:
        """The lowest level at which a file was proved."""
        return min((file.proof.evidence for file in self.files), key=LEVELS.index)

    def summary(self) -> dict[str, object]:
        """Return the fields of the log event."""
        return {
            "files": len(self.files),
            "rows": self.rows,
            "bytes": self.size_bytes,
            "evidence": self.evidence,
            "runs": self.runs,
            "cryo_sha256": self.executable_sha256,
        }


class Extractor(Protocol):
    """Turns a task into proved local files."""

    async def extract(self, request: ExtractionRequest, *, prove: ProveFile) -> Extraction:
        """Run Cryo in `request.directory` until every chunk's file is there and proved by rows.

        Not atomic: files of an unfinished range stay in the directory. When it returns, raises or is cancelled, no
        process that it started is left.

        Raises:
            CapExceeded, CryoNotRunnable, CryoRejectedArguments, CryoWroteNothing, UnexpectedSchema: fatal.
            CryoFailed, DeadlineExceeded, DiskFull, ProofFailed: retryable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Workspace:
    """An attempt's staging directory, empty at first; child processes inherit the descriptor `lock`."""

    directory: Path
    lock: int


class Staging(Protocol):
    """Private directories on local disk, one for each attempt."""

    async def acquire(self, task_id: str, attempt: int) -> Workspace:
        """Lock the attempt's directory; create it (mode 0700), or empty it if an earlier process left files there.

        Raises:
            UnsafeStaging: a path component is a symbolic link, no directory, or belongs to another user.
            StagingLocked: a running process has the lock.
            DiskFull: the disk has too little free space to start.
        """
        ...

    async def discard(self, task_id: str, attempt: int) -> None:
        """Delete the attempt's directory and release its lock; do nothing if it was never acquired."""
        ...

    async def sweep(self) -> int:
        """Delete unlocked directories older than the TTL, and return how many (STG-4)."""
        ...


class Clock(Protocol):
    """The time as a parameter, so that a simulated run never waits."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def time(self) -> float:
        """Return seconds since the Unix epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class Ports(Protocol):
    """The implementations that `run_attempt` uses; any object with these attributes is accepted."""

    @property
    def extractor(self) -> Extractor:
        """Run Cryo."""
        ...

    @property
    def staging(self) -> Staging:
        """Manage local directories."""
        ...

    @property
    def store(self) -> ObjectStore:
        """Store objects."""
        ...

    @property
    def chain(self) -> Chain:
        """Connect to the nodes of an RPC pool."""
        ...

    @property
    def clock(self) -> Clock:
        """Read the time and wait."""
        ...

    @property
    def make_prover(self) -> MakeProver:
        """Make the prover of a task's files."""
        ...

    @property
    def random(self) -> Random:
        """Randomize the waits before retries."""
        ...

    @property
    def redact(self) -> Callable[[str], str]:
        """Remove secrets from a text."""
        ...
