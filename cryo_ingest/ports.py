"""The collaborators of an attempt, as narrow Protocols: each docstring is the promise that an implementation keeps.

Implementations: `extract` (Extractor, Staging), `publish` (ObjectStore), and the doubles of whoever drives
`run_attempt` in process. Foreign errors are mapped to `cryo_ingest.errors` inside an implementation, once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from cryo_ingest.layout import Chunk
from cryo_ingest.levels import LEVELS
from cryo_ingest.model import StorageRef, Task


@dataclass(frozen=True, slots=True)
class FileProof:
    """What was proved of one Parquet file, tied to its bytes by their SHA-256.

    `block_min` and `block_max` are None for a file without rows; `fake` is the mark of MOD-5. `evidence` is the level
    that was proved, `details` what else is kept of a proof by the chain: counts, and a digest of what the node said.
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
"""Prove one file against the chunk that it must hold; raises ProofFailed or SchemaDrift."""


class Proof(Protocol):
    """Judges local files of one task's version; reads them as untrusted input and never writes."""

    async def prove(self, path: Path, chunk: Chunk) -> FileProof:
        """Return what was proved of a file.

        Raises:
            ProofFailed: it does not hold what the chunk calls for.
            SchemaDrift: its columns are not the dataset's.
        """
        ...

    async def confirm(
        self, path: Path, chunk: Chunk, seen: FileProof, *, recorded: Mapping[str, str] | None = None
    ) -> FileProof:
        """Return what is proved of a file at the level that is asked, of which `seen` is the proof by rows.

        `recorded` is the metadata of a stored object whose bytes are the file's. The level that it records counts if it
        was proved of this very chunk. The result's level is `rows` where the chain has nothing to confirm rows by.

        Raises:
            ProofFailed: the node does not confirm the rows.
            NodeUnavailable, StaleHead, WrongChain, EndpointUnusable, RpcPoolUnresolved: there is no evidence.
        """
        ...

    async def same_rows(self, left: Path, right: Path) -> bool:
        """Tell whether two files hold equal multisets of rows (LAY-10); both have been proved."""
        ...

    def is_fake(self, footer: bytes) -> bool | None:
        """Tell from a file's last bytes whether it bears the mark of fake data (MOD-5); None where it has no footer."""
        ...


@dataclass(frozen=True, slots=True)
class ExtractionOrder:
    """All that an extractor has to know; `rpc_url` is None in fake mode, and a secret otherwise."""

    task: Task
    chunks: tuple[Chunk, ...]
    directory: Path
    inherited_descriptors: tuple[int, ...]
    rpc_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ExtractedFile:
    """One chunk's file in the staging directory, with its proof."""

    chunk: Chunk
    path: Path
    proof: FileProof


@dataclass(frozen=True, slots=True)
class Extraction:
    """A whole range on local disk, in block order, and what wrote it."""

    files: tuple[ExtractedFile, ...]
    runs: int
    executable_sha256: str

    def summary(self) -> dict[str, object]:
        """Return what a log line says of it."""
        return {
            "files": len(self.files),
            "rows": sum(file.proof.rows for file in self.files),
            "bytes": sum(file.proof.size_bytes for file in self.files),
            "evidence": min((file.proof.evidence for file in self.files), key=LEVELS.index),
            "runs": self.runs,
            "cryo_sha256": self.executable_sha256,
        }


class Extractor(Protocol):
    """Turns a task into proved local files."""

    async def extract(self, order: ExtractionOrder, *, prove: ProveFile) -> Extraction:
        """Run Cryo into `order.directory` until every chunk's file is there and proves whole.

        Not atomic: files of an unfinished range stay in the directory. When it returns or raises, cancellation
        included, no process that it started is left.

        Raises:
            CapExceeded, CryoNotRunnable, CryoRejectedArguments, CryoWroteNothing, SchemaDrift: fatal.
            CryoFailed, DeadlineExceeded, DiskFull, ProofFailed: retryable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Workspace:
    """A staging directory that this attempt alone holds, empty at first; children that inherit `lock` hold it too."""

    directory: Path
    lock: int


class Staging(Protocol):
    """Private directories on local disk, one an attempt."""

    async def acquire(self, task_id: str, attempt: int) -> Workspace:
        """Lock the attempt's directory, making it (mode 0700) or emptying what an earlier process left there.

        Raises:
            UnsafeStaging: a path component is a symbolic link, no directory, or somebody else's.
            StagingHeld: a live process holds it.
            DiskFull: there is too little room to begin.
        """
        ...

    async def discard(self, task_id: str, attempt: int) -> None:
        """Delete the attempt's directory and let go of its lock; nothing happens where it was never acquired."""
        ...

    async def sweep(self) -> int:
        """Delete directories older than the TTL that nobody holds, and return how many (STG-4)."""
        ...


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a listing or a read shows it; `etag` names this very content for a conditional PUT."""

    key: str
    size_bytes: int
    etag: str


class AlreadyStored(Exception):
    """A create found an object under the key; it may be our own, of a PUT whose answer was lost."""


class Changed(Exception):
    """A replace found another content than the one named by its ETag, or none."""


class ObjectStore(Protocol):
    """A flat space of keys with conditional writes. Any method may raise StoreUnavailable, StoreDenied, NoSuchBucket.

    A PUT is atomic: nobody ever reads half an object. Whether a key exists is learnt from `list`, never from a failed
    read: without the permission to list, S3 answers 403 for what is not there.
    """

    @property
    def keeps_metadata(self) -> bool:
        """Whether user metadata of a PUT can be read back."""
        ...

    def reference(self, prefix: str) -> StorageRef:
        """Return how the publication names `prefix` in this store."""
        ...

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List every object below `prefix`, by key. Strongly consistent: it shows all writes that have returned."""
        ...

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return the first `max_bytes` bytes of an object, or None where it is gone."""
        ...

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return the last `max_bytes` bytes of an object as listed, fewer if it is smaller, None if it is gone."""
        ...

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Write the very content that was listed to a new local file and return its user metadata, None if it is gone.

        Raises:
            Changed: the key holds another content than `stored.etag` names; so what is judged is what was listed.
            DiskFull: the local disk has no room for it.
        """
        ...

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Tell whether an object, as listed, has these very bytes; None where listings of this store can't tell."""
        ...

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Store `body` under a key that holds nothing.

        Raises:
            AlreadyStored: something is there.
            StoreUnfit: the store has no conditional writes.
        """
        ...

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Store `body` in place of the object that `etag` names.

        Raises:
            Changed: something else is there, or nothing.
            StoreUnfit: the store has no conditional writes.
        """
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a key that is not there is no error."""
        ...

    async def ensure_create_only(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Make sure, once a process, that the store does not ignore the condition of `create`.

        `key` holds just these bytes and metadata, so that nothing is changed where it does.

        Raises:
            StoreUnfit: it does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One question to a node."""

    method: str
    params: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeError:
    """A JSON-RPC error object as an answer: what the node itself said of one call, asked alone.

    Its words are read and never repeated (SEC-1). `method_is_missing` is the client's reading of them: the node does
    not offer the method at all.
    """

    code: int
    message: str = field(repr=False)
    method_is_missing: bool = field(default=False, compare=False)


class Node(Protocol):
    """One endpoint of a pool, asked by our own client: bounded, paced, retried within the attempt's deadline."""

    @property
    def name(self) -> str:
        """How messages name it: by its place in the pool, never by its URL."""
        ...

    @property
    def billed_calls(self) -> int:
        """How many calls were sent so far, repeated ones included."""
        ...

    async def ask(self, calls: Sequence[Call], *, quick: bool = False, optional: bool = False) -> list[Any]:
        """Return the answer to each call, in order: its `result`, untrusted JSON still, or a NodeError.

        A NodeError is returned only where a single call got it and another try would not change it: the method is
        missing, the parameters or the block's tag are invalid, the node says that it does not have the data. All other
        errors (rate limits, internal errors, a block that the node does not know yet) are asked again, within the
        attempt's deadline. A `quick` question gives up sooner: another endpoint may do. With `optional` the caller has
        another source: an error object that persists for some seconds in a single call is returned as its NodeError.

        Raises:
            NodeUnavailable: some call got no answer, or only errors that may pass.
            EndpointUnusable: the endpoint redirects to another host.
        """
        ...


class Chain(Protocol):
    """Opens the endpoints of a pool."""

    def open(self, url: str, *, name: str, until: float) -> AbstractAsyncContextManager[Node]:
        """Open one endpoint, whose questions end by the monotonic time `until`; nothing is asked yet.

        Raises:
            EndpointUnusable: it is not an HTTP URL.
        """
        ...


class Clock(Protocol):
    """Time as a parameter, so that a simulated run never waits."""

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
    """What `run_attempt` is given; read structurally, so any object with these attributes will do."""

    @property
    def extractor(self) -> Extractor:
        """Run Cryo."""
        ...

    @property
    def staging(self) -> Staging:
        """Hold local directories."""
        ...

    @property
    def store(self) -> ObjectStore:
        """Keep objects."""
        ...

    @property
    def chain(self) -> Chain:
        """Ask the nodes of an RPC pool."""
        ...

    @property
    def clock(self) -> Clock:
        """Tell the time."""
        ...

    @property
    def random(self) -> Random:
        """Spread retries over time."""
        ...
