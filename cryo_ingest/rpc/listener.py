"""A minimal HTTP server on loopback for JSON-RPC: only POST, only one path, bodies in and bodies out.

A web framework would cost more for each of Cryo's requests than the gateway itself; httptools parses HTTP.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httptools

from cryo_ingest.logs import log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOPBACK = "127.0.0.1"
BACKLOG = 2048
MAX_BODY_BYTES = 1024**2
MAX_URL_BYTES = 8 * 1024
SPARE_DESCRIPTORS = 128
"""For all that is open besides the connections of a client."""

Reply = Callable[[bytes], None]
"""Sends the response to one request: its body."""

Handle = Callable[[bytes, Reply], None]
"""Takes the body of a request and how to reply, now or later; it must not raise."""


@dataclass(slots=True)
class Clients:
    """The open connections, and those whose client has not read all of its answers; `on_read` is called when it has."""

    on_read: Callable[[], None] = lambda: None
    connections: set[_Connection] = field(default_factory=set)
    slow: set[_Connection] = field(default_factory=set)

    @property
    def unread_bytes(self) -> int:
        """The bytes of answers that wait for the client, without those of connections with little."""
        return sum(connection.unread_bytes for connection in self.slow)

    def read_on(self, connection: _Connection) -> None:
        """Note that a client has read its answers."""
        if connection in self.slow:
            self.slow.discard(connection)
            self.on_read()


@asynccontextmanager
async def listen(path: str, handle: Handle, *, port: int = 0, clients: Clients | None = None) -> AsyncIterator[int]:
    """Serve requests to `path` until the block ends, and yield the port.

    Raises:
        OSError: the port can't be used.
    """
    served = clients or Clients()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(path.encode(), handle, served), LOOPBACK, port, backlog=BACKLOG
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(served.connections):
            connection.abort()
        await server.wait_closed()


def allow_connections(wanted: int) -> int:
    """Raise this process's limit of open files, and return how many connections it allows, at most `wanted`.

    A child process inherits the limit. Linux starts processes with a soft limit of 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * wanted + SPARE_DESCRIPTORS
    if soft < needed and soft != resource.RLIM_INFINITY:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        except (OSError, ValueError) as error:
            log.warning("gateway.few_descriptors", limit=soft, reason=str(error))
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (soft - SPARE_DESCRIPTORS) // 2))


class _Connection(asyncio.Protocol):
    """One connection of the client. HTTP/1.1 answers requests in their order, so a second one waits for the first.

    A request that is refused ends the connection, in its turn; what follows it is ignored.
    """

    def __init__(self, path: bytes, handle: Handle, clients: Clients) -> None:
        self._path, self._handle, self._clients = path, handle, clients
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url, self._body = b"", bytearray()
        self._queue: deque[tuple[bytes, bool] | bytes] = deque()
        self._busy = self._ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start reading."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP server's
        self._transport = transport
        self._clients.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; a reply that is still to come is dropped."""
        del exc
        self._transport = None
        self._clients.connections.discard(self)
        self._clients.read_on(self)

    def pause_writing(self) -> None:
        """Note that the client does not read as fast as it gets answers."""
        self._clients.slow.add(self)

    def resume_writing(self) -> None:
        """Note that it does again."""
        self._clients.read_on(self)

    @property
    def unread_bytes(self) -> int:
        """The bytes that wait for the client."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; `on_message_complete` takes complete requests."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._take(b"400 Bad Request")

    def on_message_begin(self) -> None:
        """Start a request."""
        self._url, self._body = b"", bytearray()

    def on_url(self, url: bytes) -> None:
        """Collect the request's path."""
        if len(self._url) + len(url) > MAX_URL_BYTES:
            self._take(b"414 URI Too Long")
        else:
            self._url += url

    def on_body(self, body: bytes) -> None:
        """Collect the request's body."""
        if len(self._body) + len(body) > MAX_BODY_BYTES:
            self._take(b"413 Content Too Large")
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """Take a complete request, or refuse it."""
        if self._url.partition(b"?")[0] != self._path:
            self._take(b"404 Not Found")
        elif self._parser.get_method() != b"POST":
            self._take(b"405 Method Not Allowed")
        else:
            self._take((bytes(self._body), self._parser.should_keep_alive()))

    def _take(self, request: tuple[bytes, bool] | bytes) -> None:
        """Queue a request, or the status with which it is refused; nothing follows a refusal."""
        if self._ending:
            return
        self._ending = isinstance(request, bytes)
        self._queue.append(request)
        self._next()

    def _next(self) -> None:
        if self._busy or not self._queue:
            return
        request = self._queue.popleft()
        if isinstance(request, bytes):
            self._refuse(request)
            return
        self._busy = True
        body, keep_alive = request
        self._handle(body, lambda answer: self._reply(answer, keep_alive=keep_alive))

    def _reply(self, body: bytes, *, keep_alive: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        close = b"" if keep_alive else b"Connection: close\r\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
        transport.write(head % (close, len(body)) + body)
        self._busy = False
        if keep_alive:
            self._next()
        else:
            self._ending = True
            self._queue.clear()
            transport.close()

    def _refuse(self, status: bytes) -> None:
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status)
            self._transport.close()
