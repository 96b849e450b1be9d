"""A pool as a context manager: its nodes serve on 127.0.0.1 in a separate thread.

with RpcPool(Node(Chain(1), head=5000), [Status(429, method="eth_getBlockByNumber", every=100)]) as pool:
    run_cryo(ETH_RPC_URL=pool.url)
    assert pool.fired
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from harness.fakes.rpc.node import Node
from harness.fakes.rpc.wire import Connection, Endpoint, Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.fakes.rpc.counts import Counts
    from harness.fakes.rpc.journal import Call
    from harness.faults import RpcFault

_BACKLOG = 512
"""One Cryo opens up to 100 connections at once, and several may run."""


class RpcPool:
    """One or several nodes with one journal and one script of faults. It can be started only once."""

    def __init__(
        self,
        nodes: Node | Sequence[Node],
        faults: Iterable[RpcFault] = (),
        *,
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
        keep_journal: bool = True,
    ) -> None:
        """Prepare a pool; `port` is for the first node (0 picks a free one), `clock` measures outages.

        Without `keep_journal` it answers several times as many calls per second, but only counts them.
        """
        served = [nodes] if isinstance(nodes, Node) else list(nodes)
        self._shared = Shared(stop=self._vanish, clock=clock, keep_journal=keep_journal)
        self._shared.script.extend(faults)
        self._endpoints = [Endpoint(node, self._shared) for node in served]
        self._sockets = [_listen(port if index == 0 else 0) for index in range(len(served))]
        self._ports = [listening.getsockname()[1] for listening in self._sockets]
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._run, name="harness-rpc", daemon=True)
        self._ready = threading.Event()
        self._ending: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The URL of the first node; user info, path and query that are added to it are ignored."""
        return self.urls[0]

    @property
    def urls(self) -> tuple[str, ...]:
        """The URL of each node."""
        return tuple(f"http://127.0.0.1:{port}" for port in self._ports)

    @property
    def journal(self) -> list[Call]:
        """Every call so far, in the order of arrival."""
        return list(self._shared.journal)

    @property
    def faults(self) -> list[RpcFault]:
        """The script so far."""
        return self._shared.script.faults

    @property
    def fired(self) -> list[Call]:
        """The calls so far to which a fault applied."""
        return [call for call in self.journal if call.fault is not None]

    def calls(self, method: str) -> int:
        """Count the calls of one method so far."""
        return sum(call.method == method for call in self.journal)

    def on_call(self, listener: Callable[[Call], None]) -> None:
        """Register a function that the pool's thread calls with every call as it arrives."""
        self._shared.listeners.append(listener)

    def on_fault(self, listener: Callable[[], None]) -> None:
        """Register a function that is called when a fault applies, or now if one has applied already."""
        self.on_call(lambda call: None if call.fault is None else listener())
        if self.fired:
            listener()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def unfired_faults(self) -> list[RpcFault]:
        """The faults that have not applied to any call yet."""
        return self._shared.script.unfired

    def add_faults(self, *faults: RpcFault) -> None:
        """Add faults; their counts begin now."""
        self._shared.script.extend(faults)

    @property
    def counts(self) -> Counts:
        """The numbers of requests and calls so far; the object goes on counting."""
        return self._shared.counts

    def set_latency(self, seconds: float) -> None:
        """Delay each response of every node by a number of seconds from now on."""
        for endpoint in self._endpoints:
            endpoint.node = replace(endpoint.node, latency_seconds=seconds)

    def set_head(self, head: int, *, node: int = 0) -> None:
        """Set the head of the node with an index."""
        endpoint = self._endpoints[node]
        endpoint.node = replace(endpoint.node, head=head)

    def vanish(self) -> None:
        """Reset every connection and reject new ones, like a node that dies; the journal is kept."""
        done = threading.Event()

        def begin() -> None:
            self._vanish().add_done_callback(lambda _: done.set())

        self._loop.call_soon_threadsafe(begin)
        done.wait()

    def stop(self) -> None:
        """Stop the pool and wait until its thread has ended; a second call has no effect."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._vanish())
        self._loop.close()

    async def _listen(self) -> None:
        for endpoint, listening in zip(self._endpoints, self._sockets, strict=True):
            server = await self._loop.create_server(partial(Connection, endpoint), sock=listening, backlog=_BACKLOG)
            self._servers.append(server)

    def _vanish(self) -> asyncio.Task[None]:
        """Reset every connection and start to shut down, at most once; must be called in the loop."""
        self._shared.gone = True
        self._reset_all()
        if self._ending is None:
            self._ending = self._loop.create_task(self._end())
        return self._ending

    def _reset_all(self) -> None:
        for endpoint in self._endpoints:
            for connection in list(endpoint.connections):
                connection.reset()

    async def _end(self) -> None:
        """Stop listening and return when every connection is closed."""
        # The only other tasks set up accepted connections; closing the server before them leaks their sockets.
        while accepting := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*accepting, return_exceptions=True)
        for server in self._servers:
            server.close()
        self._reset_all()
        while any(endpoint.connections for endpoint in self._endpoints):  # noqa: ASYNC110 - yields to the loop, without delay
            await asyncio.sleep(0)


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    return listening
