"""The choice of an endpoint, RNG-5 and MOD-7, on the fake pool over HTTP."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from support.proving import JumpingClock, settings_of, task_of

from cryo_ingest.errors import (
    EndpointUnusable,
    IngestError,
    NodeUnavailable,
    RangeNotFinal,
    RpcPoolUnresolved,
    WrongChain,
)
from cryo_ingest.rpc.client import HttpChain
from cryo_ingest.rpc.endpoint import open_endpoint
from cryo_ingest.settings import RpcPools, Settings
from harness.fakes.rpc import Node, RpcPool
from harness.faults import rpc as do
from harness.world.chain import Chain
from harness.world.quirks import Quirks

CHAIN = Chain(1)
TASK = task_of("blocks", 100, 201)
FINAL = "eth_getBlockByNumber"


def choose(settings: Settings) -> tuple[str, str]:
    """Return the name and the URL of the chosen endpoint."""

    async def chosen() -> tuple[str, str]:
        clock = JumpingClock()
        async with open_endpoint(TASK, settings=settings, chain=HttpChain(settings, clock), clock=clock) as endpoint:
            node = await endpoint.choose()
            assert await endpoint.choose() is node
            url = endpoint.url
            assert url is not None
            return node.name, url

    return asyncio.run(chosen())


@pytest.mark.parametrize(
    ("node", "confirmations", "error"),
    [
        (Node(CHAIN, head=1000, finalized=200), None, None),
        (Node(CHAIN, head=1000, finalized=199), None, RangeNotFinal),
        (Node(CHAIN, head=200), 0, None),
        (Node(CHAIN, head=199), 0, RangeNotFinal),
        (Node(CHAIN, head=212), 12, None),
        (Node(CHAIN, head=211), 12, RangeNotFinal),
        (Node(CHAIN, head=1000, chain_id=5), None, WrongChain),
        (Node(Chain(1, quirks=Quirks(no_finalized_tag=True)), head=200), None, None),
        (Node(Chain(1, quirks=Quirks(no_finalized_tag=True)), head=199), None, RangeNotFinal),
    ],
)
def test_rng_5_the_last_block_must_be_final_on_the_right_chain(
    node: Node, confirmations: int | None, error: type[IngestError] | None
):
    """RNG-5: the final block may be the range's last; a wrong chain is fatal, a lower head retryable."""
    with RpcPool(node) as pool:
        settings = settings_of(pool.url, confirmations=confirmations)
        if error is None:
            assert choose(settings) == ("endpoint 1 of 1 in TRACE_CRYO_RPC_URL", pool.url)
        else:
            with pytest.raises(error, match="endpoint 1 of 1"):
                choose(settings)


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (do.Result(None), RangeNotFinal),
        (do.Error(-32000, "finalized block not found"), RangeNotFinal),
        (do.Error(-39001, "Unknown block"), RangeNotFinal),
        (do.Error(-32000, "invalid block number"), None),
        (do.Error(-32602, "whatever"), None),
        (do.Error(-32603, "internal error"), NodeUnavailable),
        (do.Result({"number": "ten"}), NodeUnavailable),
        (do.Result([]), NodeUnavailable),
        (do.Result({"number": "0x" + "f" * 65}), NodeUnavailable),
    ],
)
def test_rng_5_the_head_decides_only_if_the_tag_is_rejected(action: do.Action, error: type[IngestError] | None):
    """RNG-5: `null` and «not found» mean no finality yet; any other error is no evidence."""
    with RpcPool(Node(CHAIN, head=1000), [replace(action, method=FINAL)]) as pool:
        if error is None:
            choose(settings_of(pool.url))
            assert pool.calls("eth_blockNumber") == 1
        else:
            with pytest.raises(error):
                choose(settings_of(pool.url))


def test_mod_7_the_first_endpoint_that_passes_is_chosen_and_no_url_is_logged(capsys: pytest.CaptureFixture[str]):
    """MOD-7, SEC-1: endpoints are tried in order and named by position; rejected ones are logged."""
    nodes = [
        Node(CHAIN, head=1000, chain_id=5, name="wrong"),
        Node(CHAIN, head=150, name="stale"),
        Node(CHAIN, head=1000, name="good"),
        Node(CHAIN, head=1000, name="never asked"),
    ]
    with RpcPool(nodes) as pool:
        urls = [f"{url}/v2/k3y-canary" for url in pool.urls]
        assert choose(settings_of(" \n".join(["ws://127.0.0.1:1/k3y-canary", *urls]))) == (
            "endpoint 4 of 5 in TRACE_CRYO_RPC_URL",
            urls[2],
        )
        assert "never asked" not in {call.node for call in pool.journal}
    captured = capsys.readouterr()
    output = captured.out + captured.err
    assert "endpoint 2 of 5" in output
    assert "k3y-canary" not in output
    assert "127.0.0.1" not in output


@pytest.mark.parametrize(
    ("order", "error"), [((5, None), RangeNotFinal), ((None, 5), RangeNotFinal), ((5, 7), WrongChain)]
)
def test_mod_7_no_endpoint_is_retryable_if_one_may_pass_later(order: tuple[int | None, ...], error: type[IngestError]):
    """MOD-7, OUT-4: the error is fatal only if no endpoint can pass later."""
    nodes = [Node(CHAIN, head=150, chain_id=chain_id, name=str(index)) for index, chain_id in enumerate(order)]
    with RpcPool(nodes) as pool, pytest.raises(error):
        choose(settings_of(" ".join(pool.urls)))


@pytest.mark.parametrize("url", ["ws://node.example/k3y", "ipc:///k3y", "http://", "http://[k3y", "http://x:99999/k3y"])
def test_mod_7_a_url_that_is_not_http_is_fatal(url: str):
    """SEC-1: the message has the position, not the value."""
    with pytest.raises(EndpointUnusable, match="endpoint 1 of 1") as caught:
        choose(settings_of(url))
    assert "k3y" not in str(caught.value)


def test_mod_4_a_pool_without_an_endpoint_is_fatal():
    """MOD-4: neither variable is set."""
    with pytest.raises(RpcPoolUnresolved):
        choose(Settings(mode="real", rpc=RpcPools({})))


def test_rng_5_no_request_is_sent_before_the_choice(tmp_path: Path):
    """LAY-10: a version that is complete in the store is published without an endpoint."""
    del tmp_path

    async def idle() -> None:
        clock = JumpingClock()
        settings = settings_of("ws://nowhere")
        async with open_endpoint(TASK, settings=settings, chain=HttpChain(settings, clock), clock=clock):
            pass

    asyncio.run(idle())
