"""`cryo-harness serve rpc`: the pool by hand, until SIGTERM or SIGINT."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from harness.fakes.rpc.endpoint import DEFAULT_HEAD, Endpoint
from harness.fakes.rpc.faults import Fault
from harness.fakes.rpc.pool import RpcPool
from harness.world.chain import Chain


def serve(
    chain_id: Annotated[int, typer.Option(help="The chain's id.")],
    seed: Annotated[int, typer.Option(help="The chain's seed: fake-cryo takes the same from FAKE_CRYO_SEED.")] = 0,
    head: Annotated[int, typer.Option(help="The highest block.")] = DEFAULT_HEAD,
    port: Annotated[int, typer.Option(help="0 for any free one.")] = 0,
    faults: Annotated[Path | None, typer.Option(help="A JSON file: a list of faults.")] = None,
) -> None:
    """Serve the deterministic chain on 127.0.0.1; the URL is the first line of standard output."""
    script = [Fault.from_json(fault) for fault in json.loads(faults.read_text(encoding="utf-8"))] if faults else []
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    endpoint = Endpoint(Chain(chain_id=chain_id, seed=seed), head=head)
    with RpcPool(endpoint, faults=script, port=port) as pool:
        typer.echo(pool.url)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
