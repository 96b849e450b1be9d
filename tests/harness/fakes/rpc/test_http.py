"""How a node speaks HTTP: compression, the version, and how long a connection lasts."""

import gzip
import http.client
import json
from urllib.parse import urlsplit

import pytest

from harness.fakes.rpc import HttpOptions, Node, RpcPool
from harness.world.chain import Chain

CALL = json.dumps({"id": 1, "method": "eth_chainId", "params": []})


def ask(connection: http.client.HTTPConnection, **headers: str):
    """Send one call; return the response and its body."""
    connection.request("POST", "/", CALL, headers)
    response = connection.getresponse()
    return response, response.read()


@pytest.fixture
def connect(request: pytest.FixtureRequest):
    """A connection to a node with the options of the test."""
    with RpcPool(Node(Chain(5), http=request.param)) as pool:
        parts = urlsplit(pool.url)
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        yield connection
        connection.close()


@pytest.mark.parametrize("connect", [HttpOptions(gzip=True)], indirect=True)
def test_answers_are_compressed_for_clients_that_accept_it(connect: http.client.HTTPConnection):
    """Only a request with `Accept-Encoding: gzip` has a compressed answer."""
    plain, body = ask(connect)
    compressed, packed = ask(connect, **{"Accept-Encoding": "br, gzip"})
    assert (plain.getheader("content-encoding"), compressed.getheader("content-encoding")) == (None, "gzip")
    assert gzip.decompress(packed) == body


@pytest.mark.parametrize("connect", [HttpOptions(keep_alive=False)], indirect=True)
def test_without_keep_alive_each_answer_ends_its_connection(connect: http.client.HTTPConnection):
    """The version is HTTP/1.0, and the client has to connect again."""
    response, _ = ask(connect)
    assert (response.version, connect.sock) == (10, None)
    assert ask(connect)[0].status == 200


@pytest.mark.parametrize("connect", [HttpOptions(requests_a_connection=2)], indirect=True)
def test_a_connection_ends_after_a_number_of_requests(connect: http.client.HTTPConnection):
    """The last answer says so, and the next connection has the same number of requests."""
    closed = [ask(connect)[0].getheader("connection") for _ in range(4)]
    assert closed == [None, "close", None, "close"]
