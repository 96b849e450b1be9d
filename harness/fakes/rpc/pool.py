"""A pool as a context manager: its endpoints listen on 127.0.0.1 from a thread of their own until it ends.

with RpcPool(Endpoint(Chain(1)), faults=[Fault(When(every=100), Status(429))]) as pool:
    run_cryo(ETH_RPC_URL=pool.url)
    assert pool.journal.fired()
"""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from harness.fakes.rpc.faults import Fault, Script
from harness.fakes.rpc.journal import Journal
from harness.fakes.rpc.server import Connection, Node

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from harness.fakes.rpc.endpoint import Endpoint

_BACKLOG = 512
"""Cryo opens up to 100 connections at once, several Cryos more."""


class RpcPool:
    """Some endpoints, one journal, one script of faults. Not restartable."""

    def __init__(self, *endpoints: Endpoint, faults: Iterable[Fault] = (), port: int = 0) -> None:
        """Prepare a pool; `port` is the first endpoint's (0 for any), the others take any."""
        self.journal = Journal()
        self._script = Script()
        self._script.extend(faults)
        self._nodes = [Node(endpoint, self.journal, self._script, self._vanish) for endpoint in endpoints]
        self._sockets = [_listen(port if place == 0 else 0) for place in range(len(endpoints))]
        self._ports = [listening.getsockname()[1] for listening in self._sockets]
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._run, name="harness-rpc", daemon=True)
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """The first endpoint's URL; user info, path and query may be added to it and are ignored."""
        return self.urls[0]

    @property
    def urls(self) -> tuple[str, ...]:
        """The URL of each endpoint."""
        return tuple(f"http://127.0.0.1:{port}" for port in self._ports)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def add_faults(self, *faults: Fault) -> None:
        """Add faults while it runs; their counts begin now."""
        self._script.extend(faults)

    def set_head(self, head: int, *, endpoint: int = 0) -> None:
        """Move an endpoint's head."""
        node = self._nodes[endpoint]
        node.endpoint = replace(node.endpoint, head=head)

    def vanish(self) -> None:
        """Reset every connection and refuse new ones, as a node that dies does; the journal stays."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(self._vanish)
        self._loop.call_soon_threadsafe(done.set)
        done.wait()

    def stop(self) -> None:
        """End the pool: nothing listens and no thread is left when it returns. Again does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._vanish()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _listen(self) -> None:
        for node, listening in zip(self._nodes, self._sockets, strict=True):
            server = await self._loop.create_server(partial(Connection, node), sock=listening, backlog=_BACKLOG)
            self._servers.append(server)

    def _vanish(self) -> None:
        for server in self._servers:
            server.close()
        for node in self._nodes:
            for connection in list(node.connections):
                connection.reset()


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    return listening
