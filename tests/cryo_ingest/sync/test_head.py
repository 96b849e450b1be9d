"""The head and single headers, read from nodes on loopback."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from support.proving import JumpingClock

from cryo_ingest.errors import IngestError, NodeUnavailable, RangeNotFinal, RpcPoolUnresolved, WrongChain
from cryo_ingest.rpc.client import HttpChain
from cryo_ingest.settings import RpcPools, Settings
from cryo_ingest.sync.head import Head, NodeHeads
from harness.fakes.rpc.node import Node
from harness.fakes.rpc.server import RpcPool
from harness.faults.rpc import Outage
from harness.world.chain import Chain
from harness.world.quirks import Quirks

CHAIN = Chain(31337)


@pytest.fixture
def pool() -> Iterator[RpcPool]:
    """A node with 200 blocks, behind one that is of another chain."""
    with RpcPool([Node(CHAIN, head=900, chain_id=1), Node(CHAIN, head=200)]) as served:
        yield served


def read(urls: str, act: Callable[[NodeHeads], Awaitable[Any]], **settings: Any) -> Any:
    """Call `act` with the heads of pool `a`."""
    used = Settings(mode="real", rpc=RpcPools({"TRACE_RPC_POOL_A_URL": urls}), **settings)
    clock = JumpingClock()
    return asyncio.run(act(NodeHeads(31337, used, clock, lambda _pool: HttpChain(used, clock))))  # type: ignore[arg-type]


def test_the_head_is_that_of_the_first_node_of_the_jobs_chain(pool: RpcPool):
    """A node of another chain is passed over; finality is not asked for if confirmations decide."""
    urls = " ".join(pool.urls)
    assert read(urls, lambda heads: heads.head("a")) == Head(200, 136)
    assert read(urls, lambda heads: heads.head("a"), confirmations=3) == Head(200, None)


def test_a_node_without_finality_has_no_final_block():
    """Then `tail_lag` decides."""
    with RpcPool(Node(Chain(31337, quirks=Quirks(no_finalized_tag=True)), head=200)) as pool:
        assert read(pool.url, lambda heads: heads.head("a")) == Head(200, None)


def test_headers_have_parent_links(pool: RpcPool):
    """They are in the order asked for."""
    later, earlier = read(pool.urls[1], lambda heads: heads.headers("a", [8, 7]))
    assert (later.number, later.parent_hash) == (8, earlier.hash)


@pytest.mark.parametrize(
    ("node", "error"),
    [
        (Node(CHAIN, head=200, chain_id=1), WrongChain),
        (Node(CHAIN, head=200, finalized=201), RangeNotFinal),
    ],
)
def test_no_head_is_an_error(node: Node, error: type[IngestError]):
    """The caller then plans nothing."""
    with RpcPool(node) as pool, pytest.raises(error):
        read(pool.url, lambda heads: heads.head("a"))


def test_a_pool_without_a_url_or_without_an_answer_is_an_error():
    """The same, with the pool's own error."""
    with pytest.raises(RpcPoolUnresolved):
        read("", lambda heads: heads.head("a"))
    with RpcPool(Node(CHAIN), [Outage(seconds=600)]) as pool, pytest.raises(NodeUnavailable):
        read(pool.url, lambda heads: heads.head("a"))
