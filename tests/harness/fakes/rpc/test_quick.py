"""A pool without a journal, which answers in a quicker way."""

import json

import pytest

from harness.fakes.rpc.counts import COUNTS_METHOD
from harness.fakes.rpc.node import Node
from harness.fakes.rpc.wire import Endpoint, Shared
from harness.world.chain import Chain

CHAIN = Chain(1, seed=2)
CALLS = [
    {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0xd", True]},
    {"jsonrpc": "2.0", "id": "b", "method": "eth_getLogs", "params": [{"fromBlock": "0x1", "toBlock": "0x20"}]},
    {"method": "eth_chainId", "id": None},
    {"id": 1.5, "method": "eth_getBlockByNumber", "params": ["0xffffff", False]},
    {"id": 3, "method": "eth_unknown", "params": []},
    {"id": 4, "method": "eth_getBlockByNumber", "params": ["pending?", False]},
    {"id": 5, "method": "eth_getBlockByNumber", "params": {}},
]
MALFORMED = [b"", b"{", b"[1, 2", b'{"method":"eth_chainId"', b'[{"method":']


def endpoint(*, keep_journal: bool) -> Endpoint:
    """Return an endpoint that is not served."""
    return Endpoint(Node(CHAIN, head=1000), Shared(stop=lambda: None, keep_journal=keep_journal))


@pytest.mark.parametrize("request_body", [*(json.dumps(call).encode() for call in [*CALLS, CALLS]), *MALFORMED])
def test_the_quick_way_gives_the_same_responses(request_body: bytes):
    """Without a journal each request has the response that it has with one, the first time and the second."""
    usual, quick = endpoint(keep_journal=True), endpoint(keep_journal=False)
    expected = usual.reply(request_body)
    assert [quick.reply(request_body) for _ in range(2)] == [expected, expected]


def test_results_are_forgotten_when_the_node_changes():
    """After the head of the node has moved, a block that was unknown is found."""
    served, body = endpoint(keep_journal=False), json.dumps(CALLS[3]).encode()
    assert json.loads(served.reply(body)[0])["result"] is None
    served.node = Node(CHAIN)
    assert json.loads(served.reply(body)[0])["result"]["number"] == "0xffffff"


def test_calls_are_counted_by_method_but_not_those_of_the_harness():
    """The counts have each call of a batch, the number of requests, and no `harness_` method."""
    served = endpoint(keep_journal=False)
    served.reply(json.dumps(CALLS[:3]).encode())
    served.reply(json.dumps(CALLS[2]).encode())
    served.reply(json.dumps({"id": 1, "method": "harness_script", "params": []}).encode())
    counts = json.loads(served.reply(json.dumps({"id": 1, "method": COUNTS_METHOD}).encode())[0])["result"]
    calls = {"eth_getBlockByNumber": 1, "eth_getLogs": 1, "eth_chainId": 2}
    assert (counts["requests"], counts["largest"], counts["calls"]) == (2, 3, calls)
    assert served.shared.journal == []
