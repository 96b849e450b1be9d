"""Checks of logs: true ones pass as they are, and a lost, foreign or incomplete one is found."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_ingest.rpc.answer_checks import Problem
from cryo_ingest.rpc.bloom import ALL_SET
from cryo_ingest.rpc.evidence import BlockFields
from cryo_ingest.rpc.log_checks import BlockLogs, join, split_by_block, suspects
from harness.fakes.rpc import Node
from harness.fakes.rpc.methods import answer
from harness.world.chain import Chain

NODE = Node(Chain(1), head=10_000)
BLOCKS = range(500, 540)
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def logs_of(blocks: range, **fields: Any) -> list[dict[str, Any]]:
    """Return the chain's logs."""
    criteria = {"fromBlock": hex(blocks.start), "toBlock": hex(blocks.stop - 1), **fields}
    found: list[dict[str, Any]] = json.loads(answer(NODE, "eth_getLogs", [criteria]))
    return found


def headers_of(blocks: range, **changes: Any) -> list[tuple[int, BlockFields]]:
    """Return the chain's headers."""
    headers = [(number, json.loads(answer(NODE, "eth_getBlockByNumber", [hex(number), False]))) for number in blocks]
    return [(number, msgspec.convert(header | changes, BlockFields)) for number, header in headers]


LOGS = logs_of(BLOCKS)
HEADERS = headers_of(BLOCKS)


def split(logs: object, blocks: range = BLOCKS) -> dict[int, BlockLogs] | Problem:
    return split_by_block(json.dumps(logs).encode(), blocks)


def blocks_of(logs: object) -> dict[int, BlockLogs]:
    found = split(logs)
    assert isinstance(found, dict)
    return found


def number_of(log: dict[str, Any]) -> int:
    return int(log["blockNumber"], 16)


def test_true_logs_pass_unchanged_and_explain_every_bloom():
    """No block of a correct chain is suspected, and Cryo gets the text of the node."""
    found = blocks_of(LOGS)
    assert suspects(found, HEADERS, transfers_only=False) == []
    assert json.loads(join(found)) == LOGS
    assert set(found) == {number_of(log) for log in LOGS}


@settings(max_examples=50, deadline=None)
@given(lost=st.sets(st.integers(0, len(LOGS) - 1), min_size=1))
def test_rng_4_blocks_whose_lost_logs_set_bits_are_suspected(lost: set[int]):
    """RNG-4: a block that has lost all its logs is suspected, and no block that has lost none."""
    kept = [log for index, log in enumerate(LOGS) if index not in lost]
    suspected = set(suspects(blocks_of(kept), HEADERS, transfers_only=False))
    touched = {number_of(LOGS[index]) for index in lost}
    emptied = touched - {number_of(log) for log in kept}
    assert emptied <= suspected <= touched


def test_rng_4_a_block_whose_transfers_are_lost_is_suspected():
    """RNG-4: with the topic of transfers alone, a block without any is suspected if its bloom has the topic."""
    transfers = logs_of(BLOCKS, topics=[TRANSFER])
    assert transfers
    assert suspects(blocks_of(transfers), HEADERS, transfers_only=True) == []
    number = number_of(transfers[0])
    kept = [log for log in transfers if number_of(log) != number]
    assert suspects(blocks_of(kept), HEADERS, transfers_only=True) == [number]


@pytest.mark.parametrize("bloom", [None, "0x0", "0x" + "00" * 256, hex(ALL_SET)])
def test_useless_blooms_suspect_nothing(bloom: str | None):
    """Some chains never set a bit, or set all of them."""
    assert suspects({}, headers_of(BLOCKS, logsBloom=bloom), transfers_only=False) == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda log: log.update(blockNumber=hex(BLOCKS.stop)), "other-block"),
        (lambda log: log.update(blockNumber=hex(BLOCKS.start - 1)), "other-block"),
        (lambda log: log.update(blockNumber="latest"), "other-block"),
        (lambda log: log.update(removed=True), "removed-log"),
        (lambda log: log.update(blockNumber=None), "malformed"),
        (lambda log: log.update(transactionHash=None), "malformed"),
        (lambda log: log.update(topics="0x"), "malformed"),
        (lambda log: log.pop("logIndex"), "malformed"),
        (lambda log: log.pop("address"), "malformed"),
    ],
    ids=["after", "before", "tag", "removed", "no number", "pending", "topics", "no index", "no address"],
)
def test_one_bad_log_makes_the_answer_bad(change: Callable[[dict[str, Any]], object], kind: str):
    """Cryo would write it, or lose it in silence."""
    logs = [dict(log) for log in LOGS]
    change(logs[len(logs) // 2])
    problem = split(logs)
    assert isinstance(problem, Problem)
    assert (problem.kind, problem.definite) == (kind, True)


@pytest.mark.parametrize("text", [b"null", b"{}", b"[", b"[1]", b'"x"', b"[[]]", b"\xff", b"[" * 100_000])
def test_what_is_no_list_of_logs_is_malformed(text: bytes):
    """No text from a node raises anything."""
    problem = split_by_block(text, BLOCKS)
    assert isinstance(problem, Problem)
    assert problem.kind == "malformed"


def test_no_logs_are_a_good_answer():
    """Most blocks of young chains have none."""
    assert split([]) == {}
    assert join({}) == b"[]"


def test_a_bloom_that_is_not_a_number_suspects_nothing():
    """A header is untrusted: its bloom can be any text."""
    assert suspects({}, headers_of(BLOCKS, logsBloom="no bloom"), transfers_only=False) == []
