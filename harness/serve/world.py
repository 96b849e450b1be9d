"""`cryo-harness serve world`: run node, store, queue and dispatcher for a worker until SIGTERM.

The node is a fake one on the deterministic chain, or with `--real` anvil, mined. With `--real` and a Docker engine
anvil and MinIO run in containers; otherwise all are processes, and moto is the store. The queue is always moto's.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.containers.anvil import shared_anvil
from harness.containers.engine import EngineError, engine_problem
from harness.containers.images import IMAGES, build
from harness.containers.minio import shared_minio
from harness.containers.node import anvil_process
from harness.containers.session import session
from harness.fakes.rpc import Node, RpcPool
from harness.runner.worker_environment import WorkerEnvironment
from harness.serve.dispatcher import start
from harness.serve.lifecycle import (
    FAILED,
    StopRequested,
    exports,
    handle_signals,
    print_lines,
    print_to_stderr,
    wait_for_stop,
)
from harness.stores.minio import endpoint_of
from harness.stores.moto import moto_server
from harness.world.chain import Chain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from harness.containers.anvil_chain import Mined
    from harness.stores.bucket import S3Endpoint

NODE_HEAD = 5_000
FAKE_CHAIN_ID = 1


@dataclass(frozen=True, slots=True)
class _NodeAndStore:
    """A node and a store that run; `chain_id` and `head` are the node's, `about` says what is on its chain."""

    url: str
    chain_id: int
    head: int
    about: str
    store: S3Endpoint


def world(
    real: Annotated[bool, typer.Option("--real", help="A real node, anvil; without it a fake one.")] = False,  # noqa: FBT002
    docker: Annotated[
        bool | None,
        typer.Option(help="With --real: in containers, or as processes. [default: containers where an engine answers]"),
    ] = None,
    env: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the environment to a file to source.")] = None,
) -> None:
    """Start a node, a store, a queue and a dispatcher; print the environment to export and commands to try.

    The first line is the node's URL. With --env FILE the lines that export the environment are also written to a file:
    `. FILE` in another terminal.
    """
    handle_signals()
    try:
        with _node_and_store(real=real, docker=docker) as parts, ExitStack() as stack:
            server, queue = start(stack.enter_context(moto_server()), stack)
            worker = WorkerEnvironment(
                node_url=parts.url,
                # With a URL the fake Cryo reads that node as the real one does.
                cryo="cryo-from-wheel" if real else "fake-cryo",
                bucket=parts.store.make_bucket(),
                queue=queue,
                dispatcher=server,
            )
            # Anvil's own `finalized` is behind its head, and nobody mines on.
            variables = worker.environment() | {"TRACE_CRYO_CONFIRMATIONS": "0"}
            if env is not None:
                _write_environment(env, variables)
            print_lines([parts.url, *exports(variables), *_advice(parts)])
            wait_for_stop()
    except EngineError as error:
        print_to_stderr(str(error))
        raise typer.Exit(FAILED) from None
    except StopRequested:
        return


def _write_environment(path: Path, variables: dict[str, str]) -> None:
    try:
        path.write_text("".join(f"{line}\n" for line in exports(variables)), encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"can't be written: {error.strerror}", param_hint="--env") from None


def _node_and_store(*, real: bool, docker: bool | None) -> AbstractContextManager[_NodeAndStore]:
    if not real:
        if docker is not None:
            raise typer.BadParameter("needs --real: the fake node does not run in a container", param_hint="--docker")
        return _fake()
    problem = engine_problem() if docker is not False else "not asked for"
    if docker is None and problem is not None:
        print_to_stderr(f"anvil and moto run as processes: {problem}")
    return _in_containers() if docker or problem is None else _as_processes()


@contextmanager
def _fake() -> Iterator[_NodeAndStore]:
    with RpcPool(Node(Chain(FAKE_CHAIN_ID), head=NODE_HEAD)) as pool, moto_server() as store:
        yield _NodeAndStore(pool.url, FAKE_CHAIN_ID, NODE_HEAD, f"{NODE_HEAD} blocks of the deterministic chain", store)


@contextmanager
def _in_containers() -> Iterator[_NodeAndStore]:
    for name in ("anvil", "minio"):
        build(IMAGES[name], print_to_stderr)
    with tempfile.TemporaryDirectory() as folder, session(Path(folder)) as begun:
        node, store = shared_anvil(begun), shared_minio(begun)
        yield _described(node.url, node.mined, endpoint_of(store))


@contextmanager
def _as_processes() -> Iterator[_NodeAndStore]:
    with anvil_process(print_to_stderr) as node, moto_server() as store:
        yield _described(node.url, node.mined, store)


def _described(url: str, mined: Mined, store: S3Endpoint) -> _NodeAndStore:
    about = f"{mined.head} blocks, {mined.transactions} transactions, {mined.logs} logs, {mined.reverts} reverts"
    return _NodeAndStore(url, mined.chain_id, mined.head, about, store)


def _advice(parts: _NodeAndStore) -> list[str]:
    task = {
        "dataset_uuid": "7f3c5c1e-6a0e-4f0e-9d7e-2f6a3b1c9d10",
        "dataset_key": "local_logs",
        "chain_id": parts.chain_id,
        "cryo_dataset_name": "logs",
        "rpc_pool": "local",
        "range_start": 1,
        "range_end": parts.head + 1,
        "config_hash": "local-1",
    }
    payload = shlex.quote(json.dumps(task))
    return [
        f"# on the chain: {parts.about}; once the lines above are exported, try:",
        "# as a service: cryo-ingest worker, and in another terminal",
        f"# curl -d {payload} $DISPATCHER_URL/harness/tasks",
        "# or one attempt without the dispatcher:",
        f"# echo {payload} | cryo-ingest run -",
    ]
