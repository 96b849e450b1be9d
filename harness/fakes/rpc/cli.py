"""`cryo-harness serve rpc`: the endpoint by hand."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import Endpoint, serve
from harness.world.chain import Chain

DEFAULT_HEAD = 1_000_000


def rpc(
    chain_id: Annotated[int, typer.Option(min=1, help="The chain's id.")],
    seed: Annotated[int, typer.Option(help="Which of the deterministic chains.")] = 0,
    head: Annotated[int, typer.Option(min=0, help="The newest block.")] = DEFAULT_HEAD,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 picks a free one.")] = 0,
) -> None:
    """Serve a deterministic chain as a JSON-RPC node; prints its URL and runs until SIGTERM."""
    try:
        asyncio.run(serve(Endpoint(Node(Chain(chain_id, seed), head)), port=port))
    except OSError as error:
        raise typer.BadParameter(f"can't listen on it: {error.strerror}", param_hint="--port") from None
