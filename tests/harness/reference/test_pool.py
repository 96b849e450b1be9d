"""The pool, limits and gateway of the reference worker, on the fake pool over HTTP."""

import time
from contextlib import contextmanager

import pytest

from harness.fakes.cryo.ranges import CryoError
from harness.fakes.cryo.source import call
from harness.fakes.rpc import Node, RpcPool
from harness.faults.rpc import Error, Hang, Outage, Reset, Status, Truncate
from harness.reference.cancellation import Cancellation
from harness.reference.errors import Retryable
from harness.reference.gateway import Gateway
from harness.reference.limits import Closed, Pace
from harness.reference.log import Log
from harness.reference.pool import Pool
from harness.reference.settings import read_settings
from harness.reference.task import Task
from harness.world.chain import Chain

CHAIN = Chain(31337)
TASK = Task("0b6c3a52-3f0c-4a52-9b5c-0f0d2f3f8a11", "k", 31337, "blocks", "local", 1000, 1040, "h")
BLOCK = "eth_getBlockByNumber"


def pool_of(*urls: str) -> Pool:
    """Make the pool of an attempt, with a short timeout."""
    variables = {"TRACE_RPC_POOL_LOCAL_URL": " ".join(urls), "TRACE_RPC_TIMEOUT_SECONDS": "0.5"}
    return Pool(TASK, read_settings(variables), Cancellation(), Log())


@contextmanager
def two_nodes(second: Chain, *faults: Outage):
    """Serve two nodes of one pool."""
    nodes = [Node(CHAIN, head=5000), Node(second, head=5000, name="second")]
    with RpcPool(nodes, faults) as served:
        yield served


@pytest.mark.parametrize(
    "fault",
    [Status(429), Status(503), Reset(), Truncate(), Hang(), Error(-32005, "rate limit exceeded")],
    ids=["429", "503", "reset", "truncate", "hang", "error"],
)
def test_a_failed_call_is_repeated(fault: Status):
    """RPC-1: Cryo gets the answer although the first one fails."""
    failing = type(fault)(**{**vars(fault), "block": 1001, "times": 1})
    with RpcPool(Node(CHAIN, head=5000), [failing]) as node, Gateway(pool_of(node.url)) as gateway:
        assert call(gateway.url, BLOCK, "0x3e9", False)["hash"] == "0x" + CHAIN.hash(1001).hex()
        assert len(node.fired) == 1


def test_a_final_error_reaches_cryo():
    """An error that no second call changes is passed on, and costs one call."""
    fault = Error(-32602, "invalid argument", method="trace_block")
    with RpcPool(Node(CHAIN, head=5000), [fault]) as node, Gateway(pool_of(node.url)) as gateway:
        with pytest.raises(CryoError, match="-32602"):
            call(gateway.url, "trace_block", "0x1")
        assert node.calls("trace_block") == 1


def test_only_the_random_path_is_served():
    """Another user of the machine, who does not know the path, gets no answer."""
    with RpcPool(Node(CHAIN, head=5000)) as node, Gateway(pool_of(node.url)) as gateway:
        with pytest.raises(CryoError):
            call(gateway.url[:-1], "eth_chainId")
        assert call(gateway.url, "eth_chainId") == "0x7a69"


def test_rpc_4_the_next_endpoint_goes_on():
    """RPC-4: when the first endpoint is dead, the second one answers the same call."""
    dead = Outage(requests=10_000, form="reset", node="main", block=1005)
    with two_nodes(CHAIN, dead) as served:
        pool = pool_of(*served.urls)
        assert pool.call(BLOCK, "0x3ed", False)["number"] == "0x3ed"
        assert pool.endpoint.url == served.urls[1]


def test_rpc_4_an_endpoint_with_another_branch_is_rejected():
    """RPC-4: an endpoint with another last block serves no call, then or later."""
    dead = Outage(requests=10_000, form="reset", node="main", block=1005)
    with two_nodes(CHAIN.reorganised(at=1039), dead) as served:
        pool = pool_of(*served.urls)
        for _ in range(2):
            with pytest.raises(Retryable, match="different blocks 1039"):
                pool.call(BLOCK, "0x3ed", False)


def test_rpc_2_calls_are_spaced_evenly():
    """RPC-2: six calls at 50 a second take at least five steps."""
    pace, began = Pace(50, Cancellation()), time.monotonic()
    for _ in range(6):
        pace.wait()
    assert time.monotonic() - began >= 5 / 50


@pytest.mark.parametrize(
    ("value", "least", "most"), [("0", 0, 0.05), ("soon", 0, 0.05), (None, 0, 0.05), ("1", 0.9, 9)]
)
def test_rpc_2_retry_after(value: str | None, least: float, most: float):
    """RPC-2: a number of seconds is waited for; what is no time is ignored."""
    closed = Closed()
    closed.close(value)
    assert least <= closed.wait(Cancellation()) <= most
