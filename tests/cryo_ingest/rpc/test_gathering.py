"""Gathering: calls that wait together are sent together, and each one gets its own answer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.virtual_loop import run_virtually

from cryo_ingest.errors import IngestError, NodeUnavailable
from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.gathering import Gatherer

SECONDS = 0.1
UNAVAILABLE = NodeUnavailable(endpoint_name="it", method="eth_call", reason="no answer")


@dataclass
class RecordingNode:
    """Answers each call with its first parameter after a while; `answered` calls of a group, then an error."""

    name: str = "it"
    answers_before_error: int | None = None
    groups: list[list[Call]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    billed_calls: int = 0

    async def request(self, *_: Any, **__: Any) -> list[Any]:
        """Is not used."""
        raise NotImplementedError

    async def send(
        self, calls: Sequence[tuple[int, Call]], deliver: Callable[[int, bytes | NodeError], None], *, patient: bool
    ) -> None:
        """Answer in the reverse order."""
        assert patient
        self.groups.append([call for _, call in calls])
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        await asyncio.sleep(SECONDS)
        self.in_flight -= 1
        for index, call in list(reversed(calls))[: self.answers_before_error]:
            deliver(index, str(call.params[0]).encode())
        if self.answers_before_error is not None:
            raise UNAVAILABLE


class BrokenNode(RecordingNode):
    """Has a bug."""

    async def send(self, *_: Any, **__: Any) -> None:
        """Raise what is no error of a node."""
        raise ZeroDivisionError


def ask_all(node: RecordingNode, calls: list[Call], **options: int) -> list[Any]:
    """Ask all calls at the same time."""

    async def main() -> list[Any]:
        gatherer = Gatherer(node, **options)
        return await asyncio.gather(*(gatherer.ask(call) for call in calls), return_exceptions=True)

    return run_virtually(main())


def test_calls_that_wait_together_are_one_group_for_each_method():
    """Providers accept batches of one method most often."""
    node = RecordingNode()
    calls = [Call(method, (number,)) for number in range(10) for method in ("eth_call", "eth_getLogs")]
    assert ask_all(node, calls) == [str(call.params[0]).encode() for call in calls]
    assert [{call.method for call in group} for group in node.groups] == [{"eth_call"}, {"eth_getLogs"}]


def test_groups_and_their_number_are_limited():
    """Calls beyond the limits wait until a group returns."""
    node = RecordingNode()
    ask_all(node, [Call("eth_call", (number,)) for number in range(100)], group_calls=8, max_groups=3)
    assert max(len(group) for group in node.groups) == 8
    assert node.most_in_flight == 3


@settings(max_examples=50, deadline=None)
@given(
    methods=st.lists(st.sampled_from(["eth_call", "eth_getLogs", "eth_getCode"]), max_size=60),
    group_calls=st.integers(1, 9),
    max_groups=st.integers(1, 4),
)
def test_every_call_is_sent_once_and_gets_its_own_answer(methods: list[str], group_calls: int, max_groups: int):
    """Whatever is asked, no answer is lost and none is exchanged."""
    node = RecordingNode()
    calls = [Call(method, (number,)) for number, method in enumerate(methods)]
    answers = ask_all(node, calls, group_calls=group_calls, max_groups=max_groups)
    assert answers == [str(number).encode() for number in range(len(calls))]
    assert sorted(call.params[0] for group in node.groups for call in group) == list(range(len(calls)))  # type: ignore[type-var]
    assert node.most_in_flight <= max_groups


@pytest.mark.parametrize("answered", [0, 3])
def test_rpc_1_an_error_is_for_the_calls_without_an_answer_alone(answered: int):
    """RPC-1: what was delivered before the error remains valid."""
    found = ask_all(RecordingNode(answers_before_error=answered), [Call("eth_call", (number,)) for number in range(5)])
    assert [isinstance(each, IngestError) for each in found] == [True] * (5 - answered) + [False] * answered


def test_nothing_is_delivered_after_the_end():
    """A closed gateway answers nobody."""
    delivered: list[Any] = []

    async def main() -> None:
        node = RecordingNode()
        gatherer = Gatherer(node)
        gatherer.submit(Call("eth_call", (1,)), delivered.append)
        await asyncio.sleep(SECONDS / 2)
        gatherer.submit(Call("eth_call", (2,)), delivered.append)
        await gatherer.close()
        gatherer.submit(Call("eth_call", (3,)), delivered.append)
        await asyncio.sleep(1)
        assert len(node.groups) == 1

    run_virtually(main())
    assert delivered == []


def test_a_bug_leaves_no_call_without_an_answer():
    """Cryo has no timeout, so it would wait until the attempt's deadline."""
    (found,) = ask_all(BrokenNode(), [Call("eth_call", (1,))])
    assert isinstance(found, ZeroDivisionError)
