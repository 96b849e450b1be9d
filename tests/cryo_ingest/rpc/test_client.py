"""The worker's JSON-RPC client with faults of the fake pool: batches, retries, limits; only own errors are raised."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.proving import JumpingClock, settings_of
from support.scripted_http import Answer, scripted_http

from cryo_ingest.errors import NodeUnavailable
from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.client import HttpChain
from cryo_ingest.rpc.limits import FIRST_BATCH_CALLS
from cryo_ingest.rpc.replies import RequestFailed, parse_answers
from cryo_ingest.settings import Settings
from harness.fakes.rpc import Node, RpcPool
from harness.faults import rpc as do
from harness.world.chain import Chain

CHAIN = Chain(1)
BLOCK = "eth_getBlockByNumber"
NUMBERS = range(100, 100 + 3 * FIRST_BATCH_CALLS + 1)


def ask(
    pool: RpcPool, clock: JumpingClock | None = None, numbers: range = NUMBERS, **more: Any
) -> tuple[list[Any], int]:
    """Request some blocks and return the answers and the number of billed calls.

    Calls that were asked for once more because this machine is slow are left out.
    """
    clock = clock or JumpingClock()
    settings = Settings(mode="real", rpc=settings_of(pool.url).rpc, **more)

    async def answers() -> tuple[list[Any], int]:
        until = clock.monotonic() + settings.deadline_seconds
        async with HttpChain(settings, clock).open(pool.url, name="endpoint 1 of 1", deadline=until) as node:
            found = await node.request([Call(BLOCK, (hex(number), False)) for number in numbers])
            return found, node.billed_calls - node.state.meter.of(BLOCK).hedged_calls

    return asyncio.run(answers())


def numbers_of(answers: list[Any]) -> list[int]:
    return [int(answer["number"], 16) for answer in answers]


PASSING = {
    "429": do.Status(429),
    "503": do.Status(503, body=""),
    "html": do.Raw("<html>"),
    "reset": do.Reset(),
    "close": do.Close(),
    "truncated": do.Truncate(),
    "limit": do.Error(-32005, "limit exceeded"),
    "limit without id": do.Error(-32005, "limit exceeded", null_id=True),
    "rate": do.Error(-32016, "rate limit"),
    "behind": do.Error(-32000, "header not found"),
    "other id": do.Envelope({"id": 99_999}),
    "text id": do.Envelope({"id": "1"}),
    "no result": do.Raw('{"jsonrpc":"2.0","id":3}'),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_error_is_retried_and_answers_are_in_order(name: str):
    """One bad response of each kind costs a retry and nothing else."""
    fault = replace(PASSING[name], method=BLOCK, block=130, times=1)
    with RpcPool(Node(CHAIN, head=10_000), [fault]) as pool:
        answers, billed = ask(pool)
        assert pool.fired
        assert billed <= len(pool.journal)
    assert numbers_of(answers) == list(NUMBERS)


def test_retry_after_is_obeyed():
    """The client waits as long as the endpoint asks, not for its own backoff."""
    clock = JumpingClock()
    with RpcPool(Node(CHAIN, head=10_000), [do.Status(429, retry_after="7", method=BLOCK, times=1)]) as pool:
        ask(pool, clock, range(100, 101))
    assert clock.waits == [7.0]


def test_no_retry_goes_past_the_deadline():
    """A wait that would end after the deadline is not started."""
    clock = JumpingClock()
    with (
        RpcPool(Node(CHAIN, head=10_000), [do.Status(429, retry_after="90", method=BLOCK)]) as pool,
        pytest.raises(NodeUnavailable, match="429"),
    ):
        ask(pool, clock, deadline_seconds=60.0)
    assert clock.waits == []


def test_a_permanent_fault_raises_our_own_error_without_the_url():
    """SEC-1: the endpoint is named by its position."""
    with RpcPool(Node(CHAIN, head=10_000), [do.Status(500, method=BLOCK)]) as pool:
        with pytest.raises(NodeUnavailable, match="endpoint 1 of 1: eth_getBlockByNumber failed") as caught:
            ask(pool)
        assert str(pool.url).rpartition(":")[2] not in str(caught.value)


def test_a_final_error_object_is_an_answer():
    """A final error is returned to the caller, and its message is not in the value's text."""
    with RpcPool(Node(CHAIN, head=10_000), [do.Error(-32602, "k3y-canary", method=BLOCK, block=130)]) as pool:
        answers, _ = ask(pool)
    assert answers[30] == NodeError(-32602, "k3y-canary")
    assert "k3y" not in repr(answers[30])
    assert numbers_of(answers[:30] + answers[31:]) == [number for number in NUMBERS if number != 130]


@pytest.mark.parametrize("limits", [{"requests_per_second": 10}, {"max_concurrent_requests": 3}])
def test_the_configured_limits_hold(limits: dict[str, int]):
    """`TRACE_CRYO_REQUESTS_PER_SECOND` counts calls, not batches; no batch exceeds the calls that may be in flight."""
    clock = JumpingClock()
    with RpcPool(Node(CHAIN, head=10_000)) as pool:
        answers, billed = ask(pool, clock, **limits)
    assert numbers_of(answers) == list(NUMBERS)
    assert billed == len(NUMBERS)
    if "requests_per_second" in limits:
        assert clock.now - 1000.0 >= (len(NUMBERS) - 10) / 10


def test_a_server_without_batches_receives_single_calls():
    """A rejected batch is halved until the server accepts it; every server accepts single calls."""
    clock = JumpingClock()

    async def answers(url: str) -> list[Any]:
        async with HttpChain(settings_of(url), clock).open(url, name="it", deadline=clock.now + 60) as node:
            return await node.request([Call("eth_chainId")] * 60)

    with scripted_http(Answer(200, b'{"jsonrpc":"2.0","id":1,"result":"0x1"}')) as server:
        assert asyncio.run(answers(server.url)) == ["0x1"] * 60
    assert clock.waits == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
ENVELOPES = st.fixed_dictionaries({}, optional={"id": JSON, "result": JSON, "error": JSON, "jsonrpc": JSON})


@given(
    st.binary(max_size=200) | (JSON | ENVELOPES | st.lists(ENVELOPES, max_size=4)).map(lambda v: json.dumps(v).encode())
)
def test_any_response_is_an_answer_or_a_failed_request(content: bytes):
    """Any response gives answers to the calls that were sent, or raises RequestFailed."""
    for indices in ([0], [0, 1, 2]):
        with suppress(RequestFailed):
            assert set(parse_answers(content, indices)) <= set(indices)


def test_deeply_nested_json_is_rejected():
    """The parser's recursion limit does not crash the client."""
    with pytest.raises(RequestFailed):
        parse_answers(b"[" * 100_000, [0])


@pytest.mark.parametrize("form", ["http://user:k3y-canary@{}", "http://{}/v2/k3y-canary", "http://{}/?key=k3y-canary"])
def test_a_key_reaches_the_node_wherever_the_url_has_it(form: str):
    """SEC-1: in user info, path or query, as with Cryo; a URL without a scheme gets http."""
    clock = JumpingClock()

    async def chain_id(url: str) -> list[Any]:
        async with HttpChain(settings_of(url), clock).open(url, name="it", deadline=clock.now + 60) as node:
            assert "k3y" not in repr(node)
            return await node.request([Call("eth_chainId")])

    with RpcPool(Node(CHAIN, key="k3y-canary")) as pool:
        url = form.format(pool.url.removeprefix("http://"))
        assert asyncio.run(chain_id(url)) == ["0x1"]
        assert asyncio.run(chain_id(url.removeprefix("http://"))) == ["0x1"]
        with pytest.raises(NodeUnavailable, match="401"):
            asyncio.run(chain_id(pool.url))
