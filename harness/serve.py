"""`cryo-harness serve world --real`: a real node and a real store to point a worker at, until SIGTERM.

With a Docker engine anvil and MinIO run in containers; without one anvil and moto run as processes.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.containers.anvil import shared_anvil
from harness.containers.engine import EngineError, engine_problem
from harness.containers.images import IMAGES, build
from harness.containers.minio import shared_minio
from harness.containers.node import anvil_process
from harness.containers.session import session
from harness.stores.minio import endpoint_of
from harness.stores.moto import moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.containers.mine import Mined
    from harness.stores.bucket import S3Endpoint

FAILED = 1


class _Stopped(Exception):
    """SIGTERM or SIGINT came."""


def world(
    real: Annotated[bool, typer.Option("--real", help="A real node and a real store; there is no other world yet.")],
    docker: Annotated[
        bool | None,
        typer.Option(help="Run them in containers, or as processes. [default: in containers where an engine answers]"),
    ] = None,
) -> None:
    """Start anvil, mined, and a store; print the node's URL, the environment to export and a command to try."""
    if not real:
        raise typer.BadParameter("only the real world can be had so far", param_hint="--real")
    problem = engine_problem() if docker is not False else "not asked for"
    if docker is None and problem is not None:
        _say(f"anvil and moto run as processes: {problem}")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        with _in_containers() if docker or problem is None else _as_processes() as (url, mined, endpoint):
            sys.stdout.write("\n".join([url, *_exports(url, endpoint), *_advice(mined)]) + "\n")
            sys.stdout.flush()
            threading.Event().wait()
    except EngineError as error:
        _say(str(error))
        raise typer.Exit(FAILED) from None
    except _Stopped:
        return


@contextmanager
def _in_containers() -> Iterator[tuple[str, Mined, S3Endpoint]]:
    for name in ("anvil", "minio"):
        build(IMAGES[name], _say)
    with tempfile.TemporaryDirectory() as folder, session(Path(folder)) as begun:
        node, store = shared_anvil(begun), shared_minio(begun)
        yield node.url, node.mined, endpoint_of(store)


@contextmanager
def _as_processes() -> Iterator[tuple[str, Mined, S3Endpoint]]:
    with ExitStack() as stack:
        node = stack.enter_context(anvil_process(_say))
        yield node.url, node.mined, stack.enter_context(moto_server())


def _exports(url: str, endpoint: S3Endpoint) -> list[str]:
    real = {"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": "cryo-from-wheel", "TRACE_RPC_POOL_LOCAL_URL": url}
    variables = real | endpoint.make_bucket().environment()
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _advice(mined: Mined) -> list[str]:
    task = {
        "dataset_uuid": "7f3c5c1e-6a0e-4f0e-9d7e-2f6a3b1c9d10",
        "dataset_key": "local_logs",
        "chain_id": mined.chain_id,
        "cryo_dataset_name": "logs",
        "rpc_pool": "local",
        "range_start": 1,
        "range_end": mined.head + 1,
        "config_hash": "local-1",
    }
    what = f"{mined.head} blocks, {mined.transactions} transactions, {mined.logs} logs, {mined.reverts} reverts"
    return [
        f"# on the chain: {what}; once the lines above are exported, try:",
        f"# echo {shlex.quote(json.dumps(task))} | cryo-ingest run -",
    ]


def _stop(*_: Any) -> None:
    # Once: what follows is the clearing up, which a second signal must not break off.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise _Stopped


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
