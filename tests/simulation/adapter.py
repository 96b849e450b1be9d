"""The simulation's doubles as this worker's interfaces: its service runs on them unchanged, without sockets."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import structlog

from cryo_ingest.errors import NodeUnavailable, ProofFailed, StoreUnavailable
from cryo_ingest.extract.command import INHERITED
from cryo_ingest.extract.cryo import CryoExtractor
from cryo_ingest.extract.process import ProcessResult
from cryo_ingest.extract.staging import DirectoryStaging
from cryo_ingest.layout import Chunk
from cryo_ingest.model import StorageRef, Task
from cryo_ingest.ports import AlreadyStored, Call, Changed, FileProof, ObjectStore, StoredObject, Workspace
from cryo_ingest.ports import NodeError as NodeError  # noqa: PLC0414 - for annotations of the port
from cryo_ingest.redact import Redactor
from cryo_ingest.serve.attempt_runner import AttemptRunner
from cryo_ingest.serve.dispatcher import HttpDispatcher
from cryo_ingest.serve.ports import Message, QueueUnavailable
from cryo_ingest.serve.service import Service
from cryo_ingest.serve.shutdown import Shutdown
from cryo_ingest.serve.start import make_consumer
from cryo_ingest.serve.status import Status
from cryo_ingest.settings import RpcPools, Settings
from cryo_ingest.wiring import WorkerPorts
from harness.simulate.bench import Bench
from harness.simulate.boundary import Refused, Unanswered
from harness.simulate.store import Conflict, Write

POLL_SECONDS = 20
WATCH_SECONDS = 7.0
"""Twice in the time of a file; the service's own interval would only add equal checks."""
STAGING_TTL_HOURS = 0.0002
"""Shorter than an attempt, so that a sweep meets directories that are old and locked."""


async def worker(bench: Bench) -> None:
    """Run the service until a signal, then drain it."""
    await run_service(bench, StorePort(bench))


async def run_service(bench: Bench, store: ObjectStore) -> None:
    """Run the service on a store, which a test may have changed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    settings = Settings(
        mode="real",
        cryo_bin=str(_executable(bench)),
        gateway=False,
        confirmations=0,
        configured_proof_level="rows",
        staging_root=bench.staging_root,
        rpc=RpcPools({"TRACE_CRYO_RPC_URL": bench.pool_url}),
    )
    redactor = Redactor([bench.worker_token])
    ports = WorkerPorts(
        extractor=CryoExtractor(
            settings,
            bench.clock,
            redactor,
            RunsCryo(bench),
            watch_seconds=WATCH_SECONDS,
            free_bytes=bench.free_bytes,
        ),
        staging=SimulatedStaging(bench, settings),
        store=store,
        chain=ChainPort(bench),
        clock=bench.clock,
        redact=redactor,
        random=bench.random,
        make_prover=lambda task, *_, **__: FactsProver(task),
    )
    shutdown = Shutdown(30.0, bench.clock)
    status = Status(shutdown)
    dispatcher = HttpDispatcher(
        Session(bench),  # type: ignore[arg-type] - the part of aiohttp's session that is used
        "http://dispatcher.invalid",
        worker_token=bench.worker_token,
        worker_id=f"worker-{bench.life}",
        clock=bench.clock,
    )
    runner = AttemptRunner(dispatcher, ports, settings, shutdown, bench.clock, bench.random, redactor, status)
    consumer = make_consumer(QueuePort(bench), runner, poll_seconds=POLL_SECONDS)
    stopping = asyncio.create_task(_pass_signals_on(bench, shutdown))
    try:
        await Service([consumer], ports.staging, shutdown, bench.clock).run()
    finally:
        stopping.cancel()


async def _pass_signals_on(bench: Bench, shutdown: Shutdown) -> None:
    while True:
        shutdown.begin(await bench.signals.get())


def _executable(bench: Bench) -> Path:
    path = bench.staging_root.parent / "cryo"
    if not path.exists():
        path.touch(mode=0o700)
    return path


@dataclass
class RunsCryo:
    """Runs Cryo's command line in the simulation, instead of a process."""

    bench: Bench

    async def __call__(
        self, command: list[str], *, directory: Path, environment: Mapping[str, str], **_: Any
    ) -> ProcessResult:
        """Run it; the words before Cryo's own are the wrapper's."""
        arguments = command[command.index(str(_executable(self.bench))) + 1 :]
        # What Cryo may inherit depends on the machine, and a run must not.
        variables = [name for name in environment if name not in INHERITED]
        ended = await self.bench.run_cryo(arguments, directory, variables)
        return ProcessResult(ended.code, ended.tail)


class SimulatedStaging(DirectoryStaging):
    """The worker's own staging; a dead worker changes nothing on the disk, and the kernel releases its locks."""

    def __init__(self, bench: Bench, settings: Settings) -> None:
        super().__init__(settings.staging_root, STAGING_TTL_HOURS, bench.clock, minimum_free_bytes=0)
        self._bench = bench
        bench.on_death.append(self._release)

    async def acquire(self, task_id: str, attempt: int) -> Workspace:
        """Lock and empty the attempt's directory."""
        self._bench.touch_disk("acquire")
        workspace = await super().acquire(task_id, attempt)
        self._bench.stamp(workspace.directory)
        return workspace

    async def discard(self, task_id: str, attempt: int) -> None:
        """Delete the attempt's directory."""
        self._bench.touch_disk("discard")
        await super().discard(task_id, attempt)

    async def sweep(self) -> int:
        """Delete old directories."""
        self._bench.touch_disk("sweep")
        self._bench.doubles.disk.age()
        return await super().sweep()

    def _release(self) -> None:
        for lock in self._locks.values():
            with contextlib.suppress(OSError):
                os.close(lock)
        self._locks.clear()


@dataclass
class FactsProver:
    """Proves the simulation's files: lines of JSON with the facts of a Parquet file."""

    task: Task

    async def prepare(self) -> None:
        """Load nothing."""

    async def prove_rows(self, path: Path, chunk: Chunk) -> FileProof:
        """Compare the facts with the chunk."""
        body = path.read_bytes()
        try:
            facts = json.loads(body)
        except ValueError:
            raise ProofFailed(file=path.name, evidence="it is incomplete") from None
        if (facts["rows"], facts["first"]) != (chunk.end - chunk.start, chunk.start):
            raise ProofFailed(file=path.name, evidence="rows are missing")
        return FileProof(
            hashlib.sha256(body).hexdigest(), len(body), facts["rows"], facts["first"], facts["last"], facts["fake"]
        )

    async def confirm_with_node(self, path: Path, chunk: Chunk, *, rows_proof: FileProof, **_: Any) -> FileProof:
        """Return the proof by rows."""
        del path, chunk
        return rows_proof

    async def same_rows(self, left: Path, right: Path) -> bool:
        """Compare the facts."""
        return left.read_bytes() == right.read_bytes()

    def is_fake(self, footer: bytes) -> bool | None:
        """Read the mark."""
        try:
            return bool(json.loads(footer)["fake"])
        except ValueError:
            return None


@dataclass
class StorePort:
    """The simulated bucket as an `ObjectStore`."""

    bench: Bench
    keeps_metadata: bool = True

    def reference(self, prefix: str) -> StorageRef:
        """Name a prefix."""
        return StorageRef("s3", self.bench.bucket, prefix)

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List what lies below a prefix."""
        found = await _available(self.bench.list(prefix))
        return {key: StoredObject(key, len(content.body), content.etag) for key, content in found.items()}

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return first bytes."""
        content = await _available(self.bench.read(key))
        return None if content is None else content.body[:max_bytes]

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return last bytes."""
        content = await _available(self.bench.read(stored.key))
        return None if content is None else content.body[-max_bytes:]

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Write the content that was listed to a new file."""
        content = await _available(self.bench.read(stored.key))
        if content is None:
            return None
        if content.etag != stored.etag:
            raise Changed
        self.bench.touch_disk("download")
        into.write_bytes(content.body)
        return dict(content.metadata)

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Compare contents, as S3 does by a checksum in the listing's object."""
        content = await _available(self.bench.read(stored.key))
        return content is not None and content.etag == stored.etag and content.body == _bytes(body)

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Store under a key that has no object."""
        try:
            await _available(self.bench.put(key, Write(_bytes(body), metadata)))
        except Conflict:
            raise AlreadyStored from None

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Store in place of the content that `etag` names."""
        try:
            await _available(self.bench.put(key, Write(_bytes(body), metadata, etag)))
        except Conflict:
            raise Changed from None

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects."""
        for key in keys:
            await _available(self.bench.delete(key))

    async def check_refuses_overwrite(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Do nothing: this store obeys its conditions."""


async def _available(request: Any) -> Any:
    try:
        return await request
    except (Refused, Unanswered) as error:
        raise StoreUnavailable(operation="a request", key="an object", reason=type(error).__name__) from None


def _bytes(body: Path | bytes) -> bytes:
    return body.read_bytes() if isinstance(body, Path) else body


@dataclass
class QueuePort:
    """The simulated queue as a `WakeupQueue`."""

    bench: Bench

    async def receive(self, *, wait_seconds: int) -> Message | None:
        """Wait for a message."""
        found = await _reachable("receive", self.bench.receive(wait_seconds))
        return None if found is None else Message(*found)

    async def hide(self, message: Message, *, seconds: int) -> None:
        """Keep a message invisible."""
        await _reachable("hide", self.bench.hide(message.receipt, seconds))

    async def acknowledge(self, message: Message) -> None:
        """Delete a message."""
        await _reachable("acknowledge", self.bench.acknowledge(message.receipt))


async def _reachable(operation: str, request: Any) -> Any:
    try:
        return await request
    except (Refused, Unanswered) as error:
        raise QueueUnavailable(operation, type(error).__name__) from None


@dataclass
class Session:
    """The part of an HTTP session that the dispatcher's client uses."""

    bench: Bench

    @asynccontextmanager
    async def post(self, url: str, *, data: bytes, headers: Mapping[str, str], **options: Any) -> AsyncIterator[Any]:
        """Send a request, and yield its response."""
        async with asyncio.timeout(options["timeout"].total):
            try:
                answer = await self.bench.post("/" + url.split("/", 3)[3], headers, data)
            except Unanswered:
                raise TimeoutError from None
        parts = [answer.body, b""]
        content = SimpleNamespace(read=lambda _: _soon(parts.pop(0)))
        headers_of = {name.title(): value for name, value in answer.headers.items()}
        yield SimpleNamespace(status=answer.status, headers=headers_of, content=content)


async def _soon(value: bytes) -> bytes:
    return value


@dataclass
class ChainPort:
    """The nodes of the pool: one, of which only the head is asked."""

    bench: Bench
    meter: Any = None

    @asynccontextmanager
    async def open(self, url: str, *, name: str, **_: Any) -> AsyncIterator[Any]:
        """Open it."""
        del url
        yield NodePort(self.bench, name)


@dataclass
class NodePort:
    """One node."""

    bench: Bench
    name: str
    billed_calls: int = 0

    async def request(self, calls: Sequence[Call], **_: Any) -> list[Any]:
        """Answer what is asked before Cryo starts."""
        answers = {"eth_chainId": hex(self.bench.chain_id), "eth_blockNumber": hex(self.bench.head)}
        for call in calls:
            try:
                await self.bench.ask_node(call.method)
            except (Refused, Unanswered) as error:
                raise NodeUnavailable(
                    endpoint_name=self.name, method=call.method, reason=type(error).__name__
                ) from None
        return [answers[call.method] for call in calls]
