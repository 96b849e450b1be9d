"""Checks of answers as they pass: true ones are good, and what Cryo would lose in silence is found."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_ingest.ports import Call
from cryo_ingest.rpc.answer_checks import BLOCK, RECEIPTS, TRACES, AnswerChecks
from cryo_ingest.rpc.evidence import Evidence
from harness.fakes.rpc import Node
from harness.fakes.rpc.methods import answer
from harness.world.chain import Chain

NODE = Node(Chain(1), head=10_000)
DEBUG, REPLAY = "debug_traceBlockByNumber", "trace_replayBlockTransactions"
CALLS: dict[str, Callable[[int], Call]] = {
    BLOCK: lambda number: Call(BLOCK, (hex(number), False)),
    RECEIPTS: lambda number: Call(RECEIPTS, (hex(number),)),
    TRACES: lambda number: Call(TRACES, (hex(number),)),
    DEBUG: lambda number: Call(DEBUG, (hex(number), {"tracer": "callTracer"})),
    REPLAY: lambda number: Call(REPLAY, (hex(number), ["stateDiff"])),
}


def truth(call: Call) -> Any:
    return json.loads(answer(NODE, call.method, list(call.params)))


NUMBER = next(number for number in range(500, 600) if len(truth(CALLS[BLOCK](number))["transactions"]) > 2)


@pytest.fixture
def evidence(tmp_path: Path) -> Iterator[Evidence]:
    """Evidence with the header of one block."""
    with closing(Evidence.of_range(range(500, 600), tmp_path)) as collected:
        header = CALLS[BLOCK](NUMBER)
        assert AnswerChecks(collected).check(header, json.dumps(truth(header)).encode()) is None
        yield collected


def check(evidence: Evidence | None, method: str, value: object) -> str | None:
    """Check an answer for the block and return the kind of problem."""
    problem = AnswerChecks(evidence).check(CALLS[method](NUMBER), json.dumps(value).encode())
    return None if problem is None else problem.kind


@pytest.mark.parametrize("method", CALLS)
def test_true_answers_are_good(method: str, evidence: Evidence):
    """With the header and without it."""
    value = truth(CALLS[method](NUMBER))
    assert check(evidence, method, value) is None
    assert check(None, method, value) is None


def change_first(**fields: Any) -> Callable[[Any], Any]:
    return lambda items: [items[0] | fields, *items[1:]]


@pytest.mark.parametrize(
    ("method", "change", "kind"),
    [
        (BLOCK, lambda _: None, "missing-block"),
        (BLOCK, lambda block: block | {"number": hex(NUMBER + 1)}, "other-block"),
        (BLOCK, lambda block: block | {"hash": None}, "malformed"),
        (BLOCK, lambda block: {**block, "transactions": [1]}, "malformed"),
        (BLOCK, lambda _: {}, "malformed"),
        (RECEIPTS, lambda _: None, "missing-receipts"),
        (RECEIPTS, lambda items: items[1:], "other-receipts"),
        (RECEIPTS, lambda items: items[::-1], "other-receipts"),
        (RECEIPTS, lambda _: [], "other-receipts"),
        (RECEIPTS, change_first(blockHash="0x" + "ab" * 32), "other-receipts"),
        (RECEIPTS, change_first(gasUsed=None), "malformed"),
        (TRACES, lambda _: None, "missing-traces"),
        (TRACES, lambda _: [], "missing-traces"),
        (TRACES, change_first(blockNumber=NUMBER + 1), "other-block"),
        (DEBUG, lambda _: None, "missing-traces"),
        (DEBUG, lambda items: items[1:], "missing-traces"),
        (DEBUG, lambda _: {}, "malformed"),
        (REPLAY, lambda items: [*items, items[0]], "missing-traces"),
    ],
    ids=[
        "block: null",
        "block: other number",
        "block: no hash",
        "block: no hashes",
        "block: empty",
        "receipts: null",
        "receipts: one missing",
        "receipts: other order",
        "receipts: none",
        "receipts: other hash",
        "receipts: no gas",
        "traces: null",
        "traces: none",
        "traces: other block",
        "debug: null",
        "debug: one missing",
        "debug: no list",
        "replay: one more",
    ],
)
def test_rpc_1_a_bad_answer_is_found(method: str, change: Callable[[Any], Any], kind: str, evidence: Evidence):
    """RPC-1: what is missing, of another block or incomplete is not passed on at once."""
    assert check(evidence, method, change(truth(CALLS[method](NUMBER)))) == kind


def test_traces_without_a_transaction_are_only_suspected(evidence: Evidence):
    """Some chains have system transactions without a trace, so the proof decides."""
    problem = AnswerChecks(evidence).check(CALLS[TRACES](NUMBER), b"[]")
    assert problem is not None
    assert not problem.definite


def test_good_answers_are_kept_and_bad_ones_are_not(evidence: Evidence):
    """The proof reads what was checked, without logs of receipts."""
    receipts = truth(CALLS[RECEIPTS](NUMBER))
    check(evidence, RECEIPTS, receipts[1:])
    assert evidence.answer(CALLS[RECEIPTS](NUMBER)) is None
    check(evidence, RECEIPTS, receipts)
    kept: Any = evidence.answer(CALLS[RECEIPTS](NUMBER))
    assert [receipt["transactionHash"] for receipt in kept] == [receipt["transactionHash"] for receipt in receipts]
    check(evidence, BLOCK, truth(CALLS[BLOCK](NUMBER)) | {"number": "0x1", "hash": "0xbad"})
    header = evidence.header(NUMBER)
    assert header is not None
    assert header.hash == truth(CALLS[BLOCK](NUMBER))["hash"]


def test_full_transactions_are_kept_as_their_hashes(evidence: Evidence):
    """Cryo asks for whole transactions, and the proof needs their hashes alone."""
    block = json.loads(answer(NODE, BLOCK, [hex(NUMBER), True]))
    assert AnswerChecks(evidence).check(Call(BLOCK, (hex(NUMBER), True)), json.dumps(block).encode()) is None
    header = evidence.header(NUMBER)
    assert header is not None
    assert header.hashes() == [transaction["hash"] for transaction in block["transactions"]]


@settings(max_examples=100, deadline=None)
@given(text=st.binary(max_size=40), method=st.sampled_from(sorted(CALLS)))
def test_no_text_of_a_node_raises_anything(text: bytes, method: str):
    """Answers are untrusted."""
    AnswerChecks().check(CALLS[method](NUMBER), text)


@pytest.mark.parametrize(
    "call", [Call(BLOCK, ("latest", False)), Call(BLOCK), Call("eth_chainId"), Call("eth_getCode", ("0xaa", "0x1"))]
)
def test_other_calls_are_not_checked(call: Call):
    """Without a block number there is nothing to compare."""
    assert AnswerChecks().check(call, b"null") is None
