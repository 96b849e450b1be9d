"""The gateway's HTTP server: one path, bodies in and bodies out, over any split of the bytes into packets."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_ingest.rpc.listener import LOOPBACK, MAX_BODY_BYTES, MAX_URL_BYTES, Reply, listen

PATH = "/s3cret"
Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]


def request(body: bytes, *, path: str = PATH, method: str = "POST", version: str = "1.1", headers: str = "") -> bytes:
    """Return the bytes of a request."""
    head = f"{method} {path} HTTP/{version}\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def echo(body: bytes, reply: Reply) -> None:
    reply(body.upper())


def converse(act: Act, handle: Callable[[bytes, Reply], None] = echo) -> Any:
    """Let `act` talk to a server."""

    async def main() -> Any:
        async with asyncio.timeout(10), listen(PATH, handle) as port:
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                return await act(reader, writer)
            finally:
                writer.close()

    return asyncio.run(main())


async def read_response(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Return status, head and body of one response."""
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return int(head.split()[1]), head, await reader.readexactly(int(length))


async def all_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *parts: bytes) -> bytes:
    """Send packets and return everything until the server closes the connection."""
    for part in parts:
        writer.write(part)
        await writer.drain()
    return await reader.read()


def statuses(sent: bytes, handle: Callable[[bytes, Reply], None] = echo) -> list[bytes]:
    """Send bytes to which the server must close, and return the status lines of its responses."""
    answered: bytes = converse(lambda reader, writer: all_bytes(reader, writer, sent), handle)
    return [line for line in answered.split(b"\r\n") if line.startswith(b"HTTP/1.1")]


def test_a_connection_is_kept_for_further_requests():
    """Cryo's client reuses its connections."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        bodies = []
        for body in (b"one", b"two", b""):
            writer.write(request(body))
            bodies.append((await read_response(reader))[2])
        return bodies

    assert converse(act) == [b"ONE", b"TWO", b""]


def test_pipelined_requests_are_answered_in_their_order():
    """The second request waits, even if its answer would be there at once."""
    waiting: list[tuple[bytes, Reply]] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        writer.write(b"".join(request(body) for body in (b"a", b"b", b"c")))
        bodies = []
        for _ in range(3):
            while not waiting:
                await asyncio.sleep(0)
            body, reply = waiting.pop()
            assert not waiting
            reply(body)
            bodies.append((await read_response(reader))[2])
        return bodies

    assert converse(act, lambda body, reply: waiting.append((body, reply))) == [b"a", b"b", b"c"]


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 150), max_size=6))
def test_packets_may_be_split_anywhere(cuts: list[int]):
    """TCP keeps no boundaries."""
    sent = request(b"one") + request(b"two", headers="Connection: close\r\n")
    places = [0, *sorted({cut for cut in cuts if cut < len(sent)}), len(sent)]
    parts = [sent[start:end] for start, end in itertools.pairwise(places)]
    answered = converse(lambda reader, writer: all_bytes(reader, writer, *parts))
    assert answered.count(b"200 OK") == 2
    assert answered.index(b"ONE") < answered.index(b"TWO")


@pytest.mark.parametrize(
    "sent", [request(b"x", version="1.0"), request(b"x", headers="Connection: close\r\n")], ids=["HTTP/1.0", "close"]
)
def test_a_connection_is_closed_if_the_client_does_not_keep_it(sent: bytes):
    """HTTP/1.0 ends the connection after its response, and `Connection: close` does too."""
    answered = converse(lambda reader, writer: all_bytes(reader, writer, sent))
    assert answered.endswith(b"\r\n\r\nX")
    assert b"Connection: close" in answered


def test_chunked_bodies_are_read():
    """A client that does not know the length in advance may send one."""
    sent = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
    answered = converse(lambda reader, writer: all_bytes(reader, writer, sent, b"2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n"))
    assert answered.endswith(b"ABC")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(b"x", path="/"), b"404"),
        (request(b"x", path=PATH + "/more"), b"404"),
        (request(b"x", path=PATH[:-1]), b"404"),
        (request(b"x", path=PATH + "?" + "x" * MAX_URL_BYTES), b"414"),
        (request(b"", method="GET"), b"405"),
        (b"\x16\x03\x01 not HTTP\r\n\r\n", b"400"),
        (request(b"x", headers="Content-Length: 7\r\n"), b"400"),
        (request(b"x" * (MAX_BODY_BYTES + 1)), b"413"),
    ],
)
def test_rpc_3_other_requests_are_refused_and_not_handled(sent: bytes, status: bytes):
    """RPC-3: a wrong path, another method, a body that is too large, or what is not HTTP ends the connection."""
    (line,) = statuses(sent)[:1]
    assert line.split()[1] == status


def test_a_query_after_the_path_is_ignored():
    """Some clients add one."""
    assert statuses(request(b"x", path=PATH + "?a=b", headers="Connection: close\r\n")) == [b"HTTP/1.1 200 OK"]


def test_a_reply_after_the_client_has_left_is_dropped():
    """Cryo can be killed at any time."""
    waiting: list[Reply] = []

    async def act(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(request(b"x"))
        while not waiting:
            await asyncio.sleep(0)
        writer.transport.abort()
        for _round in range(10):
            await asyncio.sleep(0)
        waiting[0](b"too late")

    converse(act, lambda _, reply: waiting.append(reply))


def test_a_refusal_does_not_overtake_an_earlier_reply():
    """The client would take it for the response to its first request."""
    waiting: list[Reply] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request(b"first") + request(b"second", path="/other"))
        while not waiting:
            await asyncio.sleep(0)
        waiting[0](b"{}")
        return await reader.read()

    answered = converse(act, lambda _, reply: waiting.append(reply))
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [b"200", b"404"]


def test_nothing_is_handled_after_a_refusal():
    """The connection ends, so nobody would read the reply, and the provider would charge for the call."""
    handled: list[bytes] = []
    statuses(request(b"x", path="/other") + request(b"y"), lambda body, _: handled.append(body))
    assert handled == []


def test_a_queued_request_may_close_the_connection():
    """The last request of a pipeline decides."""
    waiting: list[Reply] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request(b"a") + request(b"b", headers="Connection: close\r\n"))
        for _ in range(2):
            while not waiting:
                await asyncio.sleep(0)
            waiting.pop()(b"{}")
        await read_response(reader)
        return (await read_response(reader))[1]

    assert b"Connection: close" in converse(act, lambda _, reply: waiting.append(reply))
