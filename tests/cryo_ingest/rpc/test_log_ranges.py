"""Ranges of logs: whatever a node refuses, smaller ranges are asked for until all blocks are there."""

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.limits import BATCH_BYTES
from cryo_ingest.rpc.log_ranges import SUCCESSES_TO_GROW, LogFilter, LogRanges
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
    "query timeout exceeded",
]
"""How providers refuse a range, its results or its size."""

CODES = [-32005, -32000, -32600, -32602, -32603, 35]
RATE_REFUSALS = ["rate limit exceeded", "request limit reached", "too many requests", "daily request limit exceeded"]
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
