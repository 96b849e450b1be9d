"""Batches: a rejected batch is split, down to single calls, whatever the form of the rejection."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from support.json_rpc import Answer, answer, each, error, json_rpc, truth
from support.proving import JumpingClock
from support.rpc_requests import METHOD, ask, calls, results, with_node

from cryo_ingest.errors import NodeUnavailable
from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.client import HttpNode
from cryo_ingest.rpc.gathering import Gatherer
from cryo_ingest.rpc.limits import FIRST_BATCH_CALLS, BatchSize, Outage, pause_seconds
from cryo_ingest.rpc.methods import MAX_REMEMBERED, OTHER, remember

TOO_LARGE = "batch too large"
REJECTIONS: dict[str, Callable[[list[Any]], Answer]] = {
    "one error": lambda _: answer(error(-32600, TOO_LARGE)),
    "a rate limit's code": lambda _: answer(error(-32005, "batch size limit exceeded")),
    "one error in a list": lambda body: answer([error(-32600, TOO_LARGE, body[0])]),
    "one error without an id in a list": lambda _: answer([error(-32600, TOO_LARGE)]),
    "an error for every call": lambda body: each(body, lambda call: error(-32600, TOO_LARGE, call)),
    "a final error for every call": lambda body: each(body, lambda call: error(-32601, "not in a batch", call)),
    "an unknown error for every call": lambda body: each(body, lambda call: error(-32000, "no", call)),
    "an empty list": lambda _: answer([]),
    "null": lambda _: answer(None),
    "text": lambda _: Answer(200, b"Bad Gateway"),
    "an object": lambda _: answer({"error": "no batches"}),
    "400": lambda _: Answer(400),
    "401": lambda _: Answer(401),
    "403": lambda _: answer({"error": "batch requests are limited"}, 403),
    "404": lambda _: Answer(404),
    "413": lambda _: Answer(413),
    "429": lambda _: answer(error(-32005, "slower"), 429),
    "429 with Retry-After": lambda _: Answer(429, b"", (("Retry-After", "3"),)),
    "500": lambda body: answer(error(31, "Batch of more than 7 requests are not allowed", body[0]), 500),
    "501": lambda _: Answer(501),
    "the connection's end": lambda _: Answer(None),
}


@pytest.mark.parametrize("limit", [1, 7])
@pytest.mark.parametrize("form", REJECTIONS)
def test_a_rejected_batch_is_split_whatever_the_form_of_the_rejection(form: str, limit: int):
    """RPC-1: all answers arrive, in order, for at most a quarter more calls."""
    with json_rpc(
        lambda body: REJECTIONS[form](body) if isinstance(body, list) and len(body) > limit else None
    ) as node:
        assert ask(node.url, calls(150)) == results(150)
    assert sum(node.sizes) < 1.25 * 150 + 2 * FIRST_BATCH_CALLS


def test_a_size_that_worked_is_kept():
    """RPC-1: of many requests to one endpoint few are batches that are too large."""

    async def twice(node: HttpNode) -> list[int]:
        await node.request(calls(200))
        before = len(served.sizes)
        await node.request(calls(200))
        return served.sizes[before:]

    with json_rpc(
        lambda body: answer(error(-32600, TOO_LARGE)) if isinstance(body, list) and len(body) > 7 else None
    ) as served:
        later = with_node(served.url, twice)
    assert sum(size > 7 for size in later) <= 3


@pytest.mark.parametrize(("code", "words"), [(-32601, "method not found"), (-32000, "no"), (-32005, "rate limit")])
def test_a_failed_call_in_a_successful_batch_is_retried_alone(code: int, words: str):
    """RPC-1: an error inside a batch is not an answer, even if it looks final."""

    def reply(body: Any) -> Answer | None:
        if not isinstance(body, list):
            return None
        return answer([error(code, words, call) if call["params"][0] == "0x7" else truth(call) for call in body])

    with json_rpc(reply) as node:
        assert ask(node.url, calls(20)) == results(20)
    assert node.sizes == [20, 1]


def test_each_method_has_its_own_batch_size():
    """RPC-1: batches that fail for one method do not shrink those of another."""

    async def both(node: HttpNode) -> None:
        assert await node.request(calls(20, "trace_block")) == results(20, "trace_block")
        assert await node.request(calls(20)) == results(20)

    def reply(body: Any) -> Answer | None:
        if isinstance(body, list) and body[0]["method"] == "trace_block":
            return each(body, lambda call: error(-32601, "the method trace_block does not exist", call))
        return None

    with json_rpc(reply) as served:
        with_node(served.url, both)
    assert [size for body, size in zip(served.bodies, served.sizes, strict=True) if METHOD in str(body)] == [20]


@pytest.mark.parametrize(
    "words",
    [
        "method not found",
        "the method eth_getBlockReceipts does not exist/is not available",
        "Unsupported method: eth_getBlockReceipts",
        "Method eth_getBlockReceipts is not supported",
        "eth_getBlockReceipts is not available on the Free tier",
        "rpc method is not whitelisted",
    ],
)
@pytest.mark.parametrize("code", [-32601, -32000])
def test_a_method_that_a_single_call_showed_to_be_missing_is_not_requested_again(code: int, words: str):
    """RPC-1: the error is final for the method on that endpoint, and costs one batch and one call."""

    async def twice(node: HttpNode) -> list[Any]:
        return [
            *await node.request(calls(100, "eth_getBlockReceipts")),
            *await node.request(calls(5, "eth_getBlockReceipts")),
        ]

    with json_rpc(lambda body: each(body, lambda call: error(code, words, call))) as served:
        assert with_node(served.url, twice) == [NodeError(code, words)] * 105
    assert served.sizes[-1] == 1
    assert len(served.sizes) <= 3


def test_missing_data_are_confirmed_by_a_single_call_for_each_block():
    """RPC-1: pruned blocks are requested one by one, since another member of a pool may have some of them."""

    def reply(body: Any) -> Answer | None:
        def one(call: Any) -> Any:
            return error(4444, "pruned history unavailable", call) if int(call["params"][0], 16) < 10 else truth(call)

        return each(body, one)

    with json_rpc(reply) as node:
        found = ask(node.url, calls(30))
    assert found == [NodeError(4444, "pruned history unavailable")] * 10 + results(30)[10:]
    assert node.sizes == [30, *[1] * 10]


def test_an_outage_costs_few_requests_and_the_batches_grow_back():
    """RPC-1: an outage does not cause a flood of single calls, and batches return to their size after it."""
    clock = JumpingClock()

    async def before_and_after(node: HttpNode) -> tuple[list[int], list[int]]:
        await node.request(calls(400))
        clean, down_until[0] = len(served.sizes), clock.now + 60
        await node.request(calls(1000))
        during = served.sizes[clean:]
        before = len(served.sizes)
        await node.request(calls(1000))
        return during, served.sizes[before:]

    down_until = [0.0]
    with json_rpc(lambda _: Answer(503) if clock.now < down_until[0] else None) as served:
        during, after = with_node(served.url, before_and_after, clock)
    assert len(during) < 200
    assert sum(during) < 1.5 * 1000
    assert len(after) <= 1000 / FIRST_BATCH_CALLS + 3


def test_a_permanent_outage_costs_few_requests_however_many_calls_wait():
    """RPC-1: requests go one at a time, with growing pauses, and the error names the reason."""
    clock = JumpingClock()
    with json_rpc(lambda _: Answer(502)) as node, pytest.raises(NodeUnavailable, match="502, after"):
        ask(node.url, calls(5000), clock)
    assert len(node.bodies) < 60
    assert clock.now > 1000 + 120


def test_answers_of_several_methods_are_in_the_order_of_the_calls():
    """`request`: the order does not depend on the batches."""
    asked = [call for pair in zip(calls(30), calls(30, "eth_getBlockReceipts"), strict=True) for call in pair]
    with json_rpc(lambda _: None) as node:
        assert ask(node.url, asked) == [f"{call.method}{list(call.params)}" for call in asked]
    assert sorted(node.sizes) == [30, 30]


def sizes_tried(limit: int, batches: int) -> list[int]:
    """Return the batch sizes that are sent to a server with a limit."""
    size, tried = BatchSize(50, 50), []
    for _ in range(batches):
        tried.append(size.size)
        (size.succeeded if size.size <= limit else size.failed)(size.size)
    return tried


@pytest.mark.parametrize("limit", [1, 2, 10, 49, 50])
def test_a_failing_size_is_retried_less_and_less_often(limit: int):
    """BatchSize: of a thousand batches at most a dozen are too large, and the others have at least half the limit."""
    tried = sizes_tried(limit, 1000)
    assert sum(size > limit for size in tried) <= 12
    assert 2 * max(size for size in tried if size <= limit) >= limit


@pytest.mark.parametrize("failures", range(1, 12))
def test_waits_are_shortened_at_random_by_up_to_a_half(failures: int):
    """RPC-1: workers that failed together do not retry together, and a seed repeats the waits."""

    def waits(seed: int) -> list[float]:
        outage = Outage(JumpingClock(), Random(seed))
        return [outage.pause_seconds(failures) for _ in range(20)]

    longest = pause_seconds(failures)
    assert all(longest / 2 <= wait <= longest for wait in waits(0))
    assert len(set(waits(0))) == 20
    assert waits(0) == waits(0) != waits(1)


def test_rpc_2_retry_after_is_not_shortened():
    """RPC-2: the provider's time counts to the full."""
    outage = Outage(JumpingClock(), Random(0))
    assert outage.failed(sent_at=1000.0, retry_after_seconds=7.0) == 7.0


def test_tables_by_method_do_not_grow_with_the_names_that_a_client_invents():
    """A standalone gateway runs for weeks, and its clients can send any name that starts as one that reads."""
    names = [f"eth_getInvented{number}" for number in range(2 * MAX_REMEMBERED)]

    async def many(node: HttpNode) -> None:
        gatherer = Gatherer(node)
        await asyncio.gather(*(gatherer.ask(Call(name)) for name in names))
        await gatherer.ask(Call("eth_getLogs"))
        state = node.state
        assert set(state.meter.methods) == {"eth_getLogs", OTHER}
        assert state.meter.methods[OTHER].calls >= len(names)
        tables = (state.missing_methods, state._batch_sizes, state._answer_sizes, gatherer._answer_sizes)
        assert all(len(table) <= MAX_REMEMBERED for table in (*tables, gatherer._waiting))

    with json_rpc(lambda body: each(body, lambda call: error(-32601, "method not found", call))) as served:
        with_node(served.url, many)


def test_the_oldest_entry_of_a_table_is_forgotten():
    """What is forgotten costs a call more; what is known stays bounded."""
    table: dict[str, int] = {}
    for number in range(MAX_REMEMBERED + 3):
        remember(table, str(number), number)
    assert list(table.values()) == list(range(3, MAX_REMEMBERED + 3))
