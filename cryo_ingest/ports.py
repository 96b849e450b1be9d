"""The interfaces that an attempt uses, as narrow Protocols; each docstring states what an implementation guarantees.

Implementations: `extract` (Extractor, Staging), `publish` (ObjectStore), `prove` (Prover), `rpc` (Chain, Node), and the
doubles of the tests. An implementation maps foreign errors to `cryo_ingest.errors`, once.
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
from cryo_ingest.meter import RpcMeter
from cryo_ingest.model import StorageRef, Task


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


@dataclass(frozen=True, slots=True)
class ExtractionRequest:
    """The input of an extraction; `rpc_url` is None in fake mode, and a secret otherwise."""

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
    """A complete range on local disk, in block order, and the SHA-256 of the Cryo that wrote it."""

    files: tuple[ExtractedFile, ...]
    runs: int
    executable_sha256: str

    @property
    def rows(self) -> int:
        """The number of rows of all files."""
        return sum(file.proof.rows for file in self.files)

    @property
    def evidence(self) -> str:
        """The lowest level at which a file was proved."""
        return min((file.proof.evidence for file in self.files), key=LEVELS.index)

    def summary(self) -> dict[str, object]:
        """Return the fields of the log event."""
        return {
            "files": len(self.files),
            "rows": self.rows,
            "bytes": sum(file.proof.size_bytes for file in self.files),
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


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a listing or a read shows it; `etag` identifies its content in a conditional PUT."""

    key: str
    size_bytes: int
    etag: str


class AlreadyStored(Exception):
    """A create found an object under the key. This attempt may have stored it, with a PUT whose response was lost."""


class Changed(Exception):
    """A replace found an object with another ETag, or no object."""


class ObjectStore(Protocol):
    """A flat space of keys with conditional writes. Any method may raise StoreUnavailable, StoreDenied, NoSuchBucket.

    A PUT is atomic: no reader sees an incomplete object. Only `list` shows whether a key exists, not a failed read:
    without the permission to list, S3 answers 403 for a missing key.
    """

    @property
    def keeps_metadata(self) -> bool:
        """Whether user metadata of a PUT can be read back."""
        ...

    def reference(self, prefix: str) -> StorageRef:
        """Return the publication's reference to `prefix` in this store."""
        ...

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List all objects below `prefix`, by key. Strongly consistent: it shows all completed writes."""
        ...

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return the first `max_bytes` bytes of an object, None if it is gone."""
        ...

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return at most the last `max_bytes` bytes of a listed object, None if it is gone."""
        ...

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Write a listed object's content to a new local file and return its user metadata, None if it is gone.

        Raises:
            Changed: the object does not have the ETag `stored.etag` any more.
            DiskFull: the local disk has no room for it.
        """
        ...

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Return whether a listed object has exactly these bytes; None if this store's listings don't show it."""
        ...

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Store `body` under a key that has no object.

        Raises:
            AlreadyStored: the key has an object.
            StoreUnfit: the store has no conditional writes.
        """
        ...

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Replace the object that has the ETag `etag` with `body`.

        Raises:
            Changed: the object under the key has another ETag, or there is none.
            StoreUnfit: the store has no conditional writes.
        """
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a missing key is not an error."""
        ...

    async def check_refuses_overwrite(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Check, once per process, that the store refuses to overwrite an object in `create`.

        The key already has an object with these bytes and metadata, so nothing changes if the store ignores the
        condition.

        Raises:
            StoreUnfit: the store ignores it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One JSON-RPC call."""

    method: str
    params: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeError:
    """A JSON-RPC error object that a single call received as its answer.

    Its message is never repeated (SEC-1). `method_is_missing`: the message means that the node does not have the
    method.
    """

    code: int
    message: str = field(repr=False)
    method_is_missing: bool = field(default=False, compare=False)


class Node(Protocol):
    """One endpoint of a pool; requests are rate-limited, and retried until the attempt's deadline."""

    @property
    def name(self) -> str:
        """The endpoint's name in messages: its position in the pool, never its URL."""
        ...

    @property
    def billed_calls(self) -> int:
        """The number of calls sent so far, including retries."""
        ...

    async def request(self, calls: Sequence[Call], *, quick: bool = False, optional: bool = False) -> list[Any]:
        """Return the answer to each call, in the order of the calls: its `result` as untrusted JSON, or a NodeError.

        A NodeError is returned only if a single call received it and a retry would not change it: the method is
        missing, the parameters or the block tag are invalid, the node does not have the data. All other errors (rate
        limits, internal errors, a block that the node does not know yet) are retried until the attempt's deadline.
        With `quick` the retries end sooner: the caller can use another endpoint. With `optional` the caller has another
        source: an error object that a single call receives for some seconds is returned as its NodeError.

        Raises:
            NodeUnavailable: a call received no answer, or only temporary errors.
            EndpointUnusable: the endpoint redirects to another host.
        """
        ...

    async def send(
        self, calls: Sequence[tuple[int, Call]], deliver: Callable[[int, bytes | NodeError], None], *, patient: bool
    ) -> None:
        """Send calls, each with an index, and call `deliver` with index and answer as soon as a call is answered.

        An answer is the JSON text of the result, or a NodeError as with `optional` in `request`. Without `patient` it
        gives up after a second or so: another endpoint may serve.

        Raises:
            NodeUnavailable, EndpointUnusable: some calls have no answer; what was delivered remains valid.
        """
        ...


class Limiter(Protocol):
    """A limit on the rate of calls that several endpoints share."""

    async def acquire(self, calls: int) -> None:
        """Wait until so many calls may be sent."""
        ...


FindOther = Callable[[], Awaitable[Node | None]]
"""Returns another endpoint of the pool that may serve the same attempt, None if there is none."""


class Chain(Protocol):
    """Opens the endpoints of a pool."""

    @property
    def meter(self) -> RpcMeter:
        """Count what is sent to all endpoints."""
        ...

    def open(
        self,
        url: str,
        *,
        name: str,
        deadline: float,
        limiter: Limiter | None = None,
        find_other: FindOther | None = None,
    ) -> AbstractAsyncContextManager[Node]:
        """Open one endpoint, whose requests end at the monotonic time `deadline`; nothing is sent yet.

        `limiter` is the one that all endpoints of an attempt share; by default the configured limit applies to this
        endpoint alone. `find_other` says whom to ask for what this endpoint leaves unanswered for unusually long.

        Raises:
            EndpointUnusable: it is not an HTTP URL.
        """
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
    def random(self) -> Random:
        """Randomize the waits before retries."""
        ...

    @property
    def redact(self) -> Callable[[str], str]:
        """Remove secrets from a text."""
        ...
