"""`cryo-harness serve rpc`: run a pool with one node until SIGTERM or SIGINT."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from harness.fakes.rpc.node import DEFAULT_HEAD, Node
from harness.fakes.rpc.server import RpcPool
from harness.faults import RpcFault
from harness.faults.rpc import read
from harness.world.chain import Chain


def rpc(
    chain_id: Annotated[int, typer.Option(min=1, help="The chain's id.")],
    seed: Annotated[int, typer.Option(help="The seed of the deterministic chain.")] = 0,
    head: Annotated[int, typer.Option(min=0, help="The newest block.")] = DEFAULT_HEAD,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 picks a free one.")] = 0,
    latency_ms: Annotated[float, typer.Option(min=0, help="The delay before each response.")] = 0,
    faults: Annotated[
        Path | None, typer.Option(help="A JSON file: a list of faults, as a scenario's `rpc_faults`.")
    ] = None,
) -> None:
    """Serve a deterministic chain as a JSON-RPC node; print its URL and run until SIGTERM.

    The JSON-RPC method `harness_counts` returns the number of calls so far, by method.
    """
    script = _read(faults) if faults else []
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        node = Node(Chain(chain_id, seed), head=head, latency_seconds=latency_ms / 1000)
        # Nobody could read the journal, which would grow without limit.
        pool = RpcPool(node, script, port=port, keep_journal=False)
    except OSError as error:
        raise typer.BadParameter(f"can't listen on this port: {error.strerror}", param_hint="--port") from None
    with pool:
        typer.echo(pool.url)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


def _read(path: Path) -> list[RpcFault]:
    """Return the faults in a file; a problem with it is a usage error that names the option."""
    try:
        return read(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise typer.BadParameter(f"can't be read: {error.strerror}", param_hint="--faults") from None
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise typer.BadParameter(f"{where}: {problem['msg']}", param_hint="--faults") from None
    except RecursionError:
        raise typer.BadParameter("is nested too deeply", param_hint="--faults") from None
    except ValueError as error:
        raise typer.BadParameter(f"is not valid JSON: {error}", param_hint="--faults") from None
