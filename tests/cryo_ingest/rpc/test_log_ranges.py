"""Ranges of logs: whatever a node refuses, smaller ranges are asked for until all blocks are there."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.json_rpc import Answer, answer, each, error, json_rpc
from support.proving import JumpingClock
from support.rpc_requests import with_node

from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.client import HttpNode
from cryo_ingest.rpc.limits import BATCH_BYTES
from cryo_ingest.rpc.log_ranges import SUCCESSES_TO_GROW, UNLIMITED, LogFilter, LogRanges
from cryo_ingest.rpc.replies import failure_of, is_final

REFUSALS = [
    "block range too large",
    "block range is too wide",
    "exceeds max block range 10000",
    "exceed maximum block range: 5000",
    "range limit exceeded",
    "eth_getLogs range limit exceeded",
    "requested block range exceeds 1000",
    "ranges over 10000 blocks are not supported on freetier",
    "eth_getLogs is limited to 10,000 blocks",
    "query returned more than 10000 results",
    "query returned more than 10,000 results",
    "query returned more than 20k results",
    "query exceeds max results 20000, retry with the range 100-200",
    "too many results",
    "response size exceeded",
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range",
    "response is too big",
    "this block range should work: [0x1, 0x2]",
    "Try with this block range [0x1, 0x2].",
    "try paginating your request",
]
"""How providers refuse a range, its results or its size."""

TIMEOUTS = [
    "request timed out",
    "query timeout exceeded",
    "query timed out",
    "context deadline exceeded",
    "execution timeout",
    "execution aborted (timeout = 5s)",
    "Request timeout",
    "upstream request timeout",
    "timeout exceeded",
    "the query exceeded the time limit of 10s",
    "canceling statement due to statement timeout",
    "query took too long",
    "504 Gateway Time-out",
    "context canceled",
]
"""How nodes and proxies say that they stopped working on a request."""

CODES = [-32005, -32000, -32600, -32602, -32603, 35]
RATE_REFUSALS = ["rate limit exceeded", "request limit reached", "too many requests", "daily request limit exceeded"]
Refusal = Callable[[Any], Answer]
FILTER: dict[str, Any] = {"topics": ["0xddf2"], "address": "0xaa"}


def call_for(blocks: range) -> Call:
    return Call("eth_getLogs", ({"fromBlock": hex(blocks.start), "toBlock": hex(blocks.stop - 1), **FILTER},))


class LimitedNode:
    """Answers with the numbers of the blocks, and refuses ranges with more blocks or more results than its limits."""

    def __init__(self, max_blocks: int, refusal: NodeError, *, padding_bytes: int = 0) -> None:
        self.max_blocks, self.refusal, self.padding = max_blocks, refusal, "x" * padding_bytes
        self.asked: list[int] = []

    async def ask(self, call: Call) -> bytes | NodeError:
        """Answer one call, whose other fields must be those of the client."""
        fields = call.params[0]
        assert isinstance(fields, dict)
        assert {name: fields[name] for name in FILTER} == FILTER
        blocks = range(int(fields["fromBlock"], 16), int(fields["toBlock"], 16) + 1)
        self.asked.append(len(blocks))
        if len(blocks) > self.max_blocks:
            return self.refusal
        return json.dumps([f"{number}{self.padding}" for number in blocks]).encode()


def fetch(ranges: LogRanges, blocks: range) -> Any:
    wanted = LogFilter.of_call(call_for(blocks))
    assert wanted is not None
    return asyncio.run(_fetch(ranges, wanted))


async def _fetch(ranges: LogRanges, wanted: LogFilter) -> Any:
    return await ranges.fetch(wanted)


def numbers(parts: list[tuple[range, bytes]]) -> list[int]:
    return [int(number.rstrip("x")) for _, text in parts for number in json.loads(text)]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("message", REFUSALS)
def test_each_wording_of_a_refusal_is_final_and_halves_the_range(message: str, code: int):
    """A refused range is halved at once instead of being sent again."""
    refusal = NodeError(code, message)
    assert is_final(refusal)
    node = LimitedNode(7, refusal)
    assert numbers(fetch(LogRanges(node.ask), range(1000, 1100))) == list(range(1000, 1100))


@pytest.mark.parametrize("message", RATE_REFUSALS)
def test_rpc_1_a_limit_of_the_rate_is_not_a_limit_of_the_range(message: str):
    """RPC-1: it is sent again later; smaller ranges would be more calls."""
    error = NodeError(-32005, message)
    assert not is_final(error)
    assert failure_of(error).about_rate or failure_of(error).final


def in_words(message: str, code: int) -> Refusal:
    return lambda body: each(body, lambda call: error(code, message, call))


REFUSALS_BY_TIME: dict[str, Refusal] = {
    **{f"{message} ({code})": in_words(message, code) for message in TIMEOUTS for code in (-32000, -32603)},
    "a code of rate limits": in_words("request timed out", -32005),
    "Geth's code": in_words("request timed out", -32002),
    "one error for a batch": lambda _: answer(error(-32000, "request timed out")),
    "a status and words": lambda _: answer(error(-32603, "request timed out"), 500),
    "text": lambda _: Answer(200, b"upstream request timeout"),
    **{str(status): lambda _, status=status: Answer(status, b"<html>") for status in (408, 504, 524)},
}


def times_out_beyond(blocks: int, refusal: Refusal) -> Callable[[Any], Answer | None]:
    """Refuse each request with a call for more than so many blocks."""

    def size(call: Any) -> int:
        return int(call["params"][0]["toBlock"], 16) - int(call["params"][0]["fromBlock"], 16) + 1

    def reply(body: Any) -> Answer | None:
        is_too_large = max(map(size, body if isinstance(body, list) else [body])) > blocks
        return refusal(body) if is_too_large else None

    return reply


async def send_one(node: HttpNode, call: Call) -> bytes | NodeError:
    found: list[bytes | NodeError] = []
    await node.send([(0, call)], lambda _, found_answer: found.append(found_answer), patient=True)
    return found[0]


@pytest.mark.parametrize("form", REFUSALS_BY_TIME)
def test_rpc_1_a_timeout_halves_a_range_at_once(form: str):
    """RPC-1: in whatever words; each range that is too large costs one call, and no waiting."""
    clock = JumpingClock()

    async def main(node: HttpNode) -> Any:
        wanted = LogFilter.of_call(call_for(range(64)))
        assert wanted is not None
        return await LogRanges(partial(send_one, node)).fetch(wanted), node.state.hedger.calls_hedged

    with json_rpc(times_out_beyond(16, REFUSALS_BY_TIME[form])) as served:
        parts, hedged = with_node(served.url, main, clock)  # on a busy machine a request can be slow
    assert [len(blocks) for blocks, _ in parts] == [16] * 4
    assert len(served.sizes) - hedged == 3 + 4
    assert clock.waits == []


@pytest.mark.parametrize("form", REFUSALS_BY_TIME)
def test_rpc_1_a_range_in_a_batch_is_refused_twice_at_most(form: str):
    """RPC-1: once in the batch, and once alone, to see whether the batch was too large."""
    clock = JumpingClock()
    sent = [call_for(range(start, start + 64)) for start in range(0, 640, 64)]
    found: dict[int, Any] = {}

    async def main(node: HttpNode) -> int:
        await node.send(list(enumerate(sent)), found.__setitem__, patient=True)
        return node.state.hedger.calls_hedged

    with json_rpc(times_out_beyond(16, REFUSALS_BY_TIME[form])) as served:
        hedged = with_node(served.url, main, clock)  # on a busy machine a request can be slow
    assert all(isinstance(found[index], NodeError) for index in range(10))
    assert sum(served.sizes) - hedged <= 2 * 10
    assert clock.waits == []


@pytest.mark.parametrize("form", REFUSALS_BY_TIME)
def test_rpc_1_a_timeout_for_one_block_is_temporary(form: str):
    """RPC-1: there is nothing to halve, so the call is sent again."""
    failures = iter([True, True])

    def reply(body: Any) -> Answer | None:
        return REFUSALS_BY_TIME[form](body) if next(failures, False) else None

    with json_rpc(reply) as served:
        found = with_node(served.url, lambda node: send_one(node, call_for(range(7, 8))), JumpingClock())
    assert isinstance(found, bytes)
    assert served.sizes == [1, 1, 1]


def test_rpc_2_a_timeout_with_retry_after_is_obeyed():
    """RPC-2: the node asks for a pause, not for smaller ranges."""
    clock, failures = JumpingClock(), iter([True])

    def reply(_: Any) -> Answer | None:
        return Answer(504, b"", (("Retry-After", "7"),)) if next(failures, False) else None

    with json_rpc(reply) as served:
        found = with_node(served.url, lambda node: send_one(node, call_for(range(64))), clock)
    assert isinstance(found, bytes)
    assert sum(clock.waits) >= 7


@pytest.mark.parametrize("status", [502, 503, 520, 521, 522, 523])
def test_rpc_1_other_errors_of_a_proxy_are_temporary(status: int):
    """RPC-1: they say that the proxy did not reach the node, even if their page has the word timeout."""
    failures = iter([True])

    def reply(_: Any) -> Answer | None:
        return Answer(status, b"<title>Connection timed out</title>") if next(failures, False) else None

    with json_rpc(reply) as served:
        found = with_node(served.url, lambda node: send_one(node, call_for(range(64))), JumpingClock())
    assert isinstance(found, bytes)
    assert served.sizes == [1, 1]


def test_one_timeout_halves_only_its_own_range():
    """It may be a fault of the moment; a second one in a row is a limit."""
    node = LimitedNode(50, NodeError(-32000, "request timed out"))
    ranges = LogRanges(node.ask)
    fetch(ranges, range(100))
    assert (ranges.halvings, ranges.max_blocks) == (1, UNLIMITED)
    fetch(ranges, range(400))
    assert ranges.max_blocks <= 100


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, 10_000), size=st.integers(1, 400), limit=st.integers(1, 500))
def test_all_blocks_are_there_once_in_their_order(start: int, size: int, limit: int):
    """Whatever the limit, the parts are consecutive and cover the range, and few calls are refused."""
    node = LimitedNode(limit, NodeError(-32005, REFUSALS[0]))
    blocks = range(start, start + size)
    parts = fetch(LogRanges(node.ask), blocks)
    assert numbers(parts) == list(blocks)
    assert parts[0][0].start == blocks.start
    assert parts[-1][0].stop == blocks.stop
    assert all(one.stop == other.start for (one, _), (other, _) in pairwise(parts))
    accepted = [asked for asked in node.asked if asked <= limit]
    assert len(node.asked) <= 2 * len(accepted)


def test_the_accepted_size_is_used_for_later_ranges():
    """A limit costs refusals only once."""
    node = LimitedNode(10, NodeError(-32005, REFUSALS[0]))
    ranges = LogRanges(node.ask)
    fetch(ranges, range(100))
    halvings, node.asked = ranges.halvings, []
    fetch(ranges, range(100, 160))
    assert max(node.asked) <= 10
    assert ranges.halvings == halvings > 0


def test_the_size_grows_again_after_successes():
    """A refusal can be about one dense part of the chain."""
    node = LimitedNode(10, NodeError(-32005, REFUSALS[0]))
    ranges = LogRanges(node.ask)
    fetch(ranges, range(40))
    before, node.max_blocks = ranges.max_blocks, 1000
    fetch(ranges, range(SUCCESSES_TO_GROW * before))
    assert ranges.max_blocks == 2 * before


def test_large_answers_make_the_ranges_smaller():
    """Memory is bounded even if the node has no limit."""
    node = LimitedNode(1000, NodeError(0, ""), padding_bytes=BATCH_BYTES // 10)
    ranges = LogRanges(node.ask)
    fetch(ranges, range(20))
    assert 5 <= ranges.max_blocks <= 10


@pytest.mark.parametrize(
    ("limit", "error"),
    [(0, NodeError(-32000, "any")), (10, NodeError(-32601, "no such method", method_is_missing=True))],
)
def test_what_a_smaller_range_does_not_help_reaches_the_client(limit: int, error: NodeError):
    """The error for a single block is the answer, and a missing method is not asked for again."""
    node = LimitedNode(limit, error)
    assert fetch(LogRanges(node.ask), range(16)) == error
    assert len(node.asked) == (1 if error.method_is_missing else 5)


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(fromBlock="latest"),
        lambda fields: fields.update(toBlock="finalized"),
        lambda fields: fields.update(blockHash="0xaa"),
        lambda fields: fields.pop("toBlock"),
        lambda fields: fields.update(fromBlock="0x9", toBlock="0x8"),
    ],
    ids=["a tag at the start", "a tag at the end", "a hash", "no end", "no blocks"],
)
def test_only_calls_by_block_numbers_are_split(change: Callable[[dict[str, Any]], object]):
    """The blocks of a tag or a hash are the node's own."""
    fields: dict[str, Any] = {"fromBlock": "0x8", "toBlock": "0x9"}
    assert LogFilter.of_call(Call("eth_getLogs", (dict(fields),))) is not None
    change(fields)
    assert LogFilter.of_call(Call("eth_getLogs", (fields,))) is None
