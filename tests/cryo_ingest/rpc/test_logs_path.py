"""Logs through the gateway: a bad answer is asked for again, with waits and from another endpoint."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from support.proving import JumpingClock

from cryo_ingest.errors import AnswerRefused
from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.asking_again import TRIES, TRIES_IF_SUSPECTED, AskingAgain
from cryo_ingest.rpc.counters import GatewayCounters
from cryo_ingest.rpc.evidence import Evidence
from cryo_ingest.rpc.log_ranges import LogFilter
from cryo_ingest.rpc.logs_path import LogsPath
from cryo_ingest.rpc.pool import Pool
from harness.fakes.rpc import Node
from harness.fakes.rpc.methods import answer
from harness.world.chain import Chain

CHAIN = Node(Chain(1), head=10_000)
BLOCKS = range(500, 516)
BAD = b'[{"blockNumber": "0x1"}]'

Reply = Callable[[Call], "bytes | NodeError"]


def true_logs(call: Call) -> bytes:
    return answer(CHAIN, call.method, list(call.params)).encode()


def bad_logs(_: Call) -> bytes:
    return BAD


@dataclass
class Endpoint:
    """Gives one answer after the other, and the last one from then on."""

    name: str
    replies: list[Reply]
    asked: list[int] = field(default_factory=list)

    async def send(
        self, calls: Sequence[tuple[int, Call]], deliver: Callable[[int, bytes | NodeError], None], *, patient: bool
    ) -> None:
        """Answer calls."""
        assert patient
        for index, call in calls:
            deliver(index, self.answer(call))

    def answer(self, call: Call) -> bytes | NodeError:
        """Answer one call."""
        wanted = LogFilter.of_call(call)
        assert wanted is not None
        self.asked.append(len(wanted.blocks))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply(call)


@dataclass
class TwoEndpoints(Endpoint):
    """A pool whose first endpoint serves."""

    other: Endpoint | None = None

    async def find_other(self) -> Endpoint | None:
        """Return the second endpoint."""
        return self.other


@dataclass
class Fetched:
    """What the client gets, and what that took."""

    answer: bytes | NodeError
    counters: GatewayCounters
    waits: list[float]


def fetch(pool: TwoEndpoints, *, evidence: Evidence | None = None) -> Fetched:
    """Fetch the logs of the blocks through a path that asks the pool."""
    clock, counters = JumpingClock(), GatewayCounters()

    async def ask(call: Call) -> bytes | NodeError:
        return pool.answer(call)

    async def ask_all(calls: list[Call]) -> list[bytes | NodeError]:
        assert not calls
        return []

    asking_again = AskingAgain(cast("Pool", pool), clock, Random(1), counters)
    path = LogsPath(ask, ask_all, asking_again, evidence, counters, with_headers=evidence is not None)
    bounds = {"fromBlock": hex(BLOCKS.start), "toBlock": hex(BLOCKS.stop - 1)}
    wanted = LogFilter.of_call(Call("eth_getLogs", (bounds,)))
    assert wanted is not None
    return Fetched(asyncio.run(path.fetch(wanted)), counters, clock.waits)


def logs_of(fetched: Fetched) -> Any:
    assert isinstance(fetched.answer, bytes)
    return json.loads(fetched.answer)


TRUE = json.loads(true_logs(Call("eth_getLogs", ({"fromBlock": "0x1f4", "toBlock": "0x203"},))))


def test_rpc_1_a_bad_answer_is_asked_for_again_after_a_wait():
    """RPC-1: the cure is counted, and the wait is between half of the backoff and all of it."""
    fetched = fetch(TwoEndpoints("it", [bad_logs, true_logs]))
    assert logs_of(fetched) == TRUE
    assert fetched.counters.bad_answers == fetched.counters.cured == {"malformed": 1}
    assert len(fetched.waits) == 1
    assert 0.05 <= fetched.waits[0] <= 0.1


def test_rpc_1_another_endpoint_is_asked_from_the_second_try_on():
    """RPC-1: an endpoint that is always wrong does not cost the attempt if another one is right."""
    other = Endpoint("other", [true_logs])
    pool = TwoEndpoints("it", [bad_logs], other=other)
    fetched = fetch(pool)
    assert logs_of(fetched) == TRUE
    assert (pool.asked, other.asked) == ([16, 16], [16])


def test_rpc_1_another_endpoint_may_accept_only_smaller_ranges():
    """RPC-1: then the range is halved, as for any other answer."""
    other = Endpoint("other", [lambda _: NodeError(-32005, "block range too large")])
    pool = TwoEndpoints("it", [bad_logs, bad_logs, true_logs], other=other)
    fetched = fetch(pool)
    assert logs_of(fetched) == TRUE
    assert (pool.asked, other.asked) == ([16, 16, 8, 8], [16])


@pytest.mark.parametrize(
    ("replies", "words"),
    [([bad_logs], "gave the same answer twice"), ([bad_logs, lambda _: b"[{}]"], "gave other answers")],
)
def test_out_4_the_error_says_whether_the_answers_were_the_same(replies: list[Reply], words: str):
    """OUT-4: it names the endpoint too, and the attempt is retryable."""
    pool = TwoEndpoints("endpoint 1 of 1", list(replies))
    with pytest.raises(AnswerRefused, match=words) as refused:
        fetch(pool)
    assert "endpoint 1 of 1" in str(refused.value)
    assert len(pool.asked) == 1 + TRIES


@pytest.fixture(name="evidence")
def evidence_of_blocks(tmp_path: Path) -> Iterator[Evidence]:
    """Provide the headers of the blocks."""
    with closing(Evidence.of_range(BLOCKS, tmp_path)) as evidence:
        for number in BLOCKS:
            evidence.headers.keep(number, json.loads(answer(CHAIN, "eth_getBlockByNumber", [hex(number), False])))
        yield evidence


def test_rng_4_lost_logs_are_asked_for_again_elsewhere(evidence: Evidence):
    """RNG-4: the logs of each block with an unexplained bloom come from an endpoint that has them."""
    pool = TwoEndpoints("it", [lambda _: b"[]"], other=Endpoint("other", [true_logs]))
    fetched = fetch(pool, evidence=evidence)
    assert logs_of(fetched) == TRUE
    assert fetched.counters.bad_answers == fetched.counters.cured
    assert fetched.counters.cured["missing-logs"] > 1


def test_rng_4_a_bloom_that_stays_unexplained_is_left_to_the_proof(evidence: Evidence):
    """RNG-4: some chains have such blooms everywhere, and the calls to find that out are few."""
    pool = TwoEndpoints("it", [lambda _: b"[]"])
    fetched = fetch(pool, evidence=evidence)
    assert logs_of(fetched) == []
    assert len(pool.asked) == 1 + TRIES_IF_SUSPECTED + 2
