"""The pool: its lock, which a slow request of a check must not wait for, and calls that wait for a dead endpoint."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from support.proving import settings_of
from support.virtual_loop import LoopClock, run_virtually

from cryo_ingest.errors import NodeUnavailable
from cryo_ingest.meter import RpcMeter
from cryo_ingest.ports import Call, FindOther, Node
from cryo_ingest.rpc.pool import Pool


@dataclass
class SlowNode:
    """Looks for another endpoint before it answers, as a client does whose request takes unusually long."""

    name: str
    find_other: FindOther | None
    others: list[Node | None] = field(default_factory=list)
    billed_calls: int = 0

    async def request(self, calls: Sequence[Call], *, quick: bool = False, optional: bool = False) -> list[Any]:
        """Answer calls."""
        assert quick or not optional
        assert self.find_other is not None
        self.others.append(await self.find_other())
        return ["0x1"] * len(calls)

    async def send(self, *_: Any, **__: Any) -> None:
        """Is not used."""
        raise NotImplementedError


@dataclass
class SlowChain:
    """Opens slow nodes."""

    meter: RpcMeter = field(default_factory=RpcMeter)
    nodes: list[SlowNode] = field(default_factory=list)

    @asynccontextmanager
    async def open(
        self, url: str, *, name: str, deadline: float, limiter: object = None, find_other: FindOther | None = None
    ) -> AsyncIterator[Node]:
        """Open a node."""
        del url, deadline, limiter
        node = SlowNode(name, find_other)
        self.nodes.append(node)
        yield cast("Node", node)


def test_rpc_1_a_slow_request_of_a_check_does_not_wait_for_another_endpoint():
    """RPC-1: the check holds the pool's lock, so an attempt would hang until its deadline."""
    chain, clock = SlowChain(), LoopClock()

    async def check(node: Node) -> None:
        await node.request([Call("eth_chainId")], quick=True)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            settings = settings_of("http://127.0.0.1:9 http://127.0.0.1:10")
            pool = Pool("local", settings, cast("Any", chain), clock, clock.monotonic() + 60, stack, check)
            await pool.choose()
            assert chain.nodes[0].others == [None]
            await pool.request([Call("eth_call")], quick=True)
            assert chain.nodes[0].others == [None, chain.nodes[1]]

    run_virtually(main())


@dataclass
class DyingNode:
    """Answers checks; of its sends the first fails after a second, and the others wait for it to come back."""

    name: str
    is_dead: bool
    sends: int = 0
    billed_calls: int = 0

    async def request(self, calls: Sequence[Call], **_: Any) -> list[Any]:
        """Answer calls."""
        return ["0x1"] * len(calls)

    async def send(
        self, calls: Sequence[tuple[int, Call]], deliver: Callable[[int, bytes], None], *, patient: bool
    ) -> None:
        """Deliver answers, or fail, or wait."""
        del patient
        self.sends += 1
        if self.is_dead and self.sends == 1:
            await asyncio.sleep(1)
            raise NodeUnavailable(endpoint_name=self.name, method="eth_call", reason="it is down")
        if self.is_dead:
            await asyncio.Event().wait()
        for index, _ in calls:
            deliver(index, b'"0x2"')


@dataclass
class DyingChain(SlowChain):
    """Opens one node that dies, and one that does not."""

    @asynccontextmanager
    async def open(self, url: str, *, name: str, **_: Any) -> AsyncIterator[Node]:
        """Open a node."""
        yield cast("Node", DyingNode(name, is_dead=url.endswith(":9")))


def test_rpc_4_calls_that_wait_for_a_dead_endpoint_move_to_the_one_that_takes_over():
    """RPC-4: one call finds out that the endpoint is dead; the others do not wait for its return."""
    clock = LoopClock()
    answered: list[tuple[str, int]] = []

    async def ask(pool: Pool, name: str) -> None:
        await pool.send([(7, Call("eth_call"))], lambda index, _: answered.append((name, index)), patient=True)

    async def main() -> float:
        async with AsyncExitStack() as stack:

            async def check(_: Node) -> None:
                """Accept every endpoint."""

            settings = settings_of("http://127.0.0.1:9 http://127.0.0.1:10")
            pool = Pool("local", settings, cast("Any", DyingChain()), clock, clock.monotonic() + 60, stack, check)
            began = clock.monotonic()
            await asyncio.gather(ask(pool, "first"), ask(pool, "second"), ask(pool, "third"))
            return clock.monotonic() - began

    assert run_virtually(main()) == pytest.approx(1.0)
    assert sorted(answered) == [("first", 7), ("second", 7), ("third", 7)]
