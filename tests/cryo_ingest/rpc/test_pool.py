"""The pool's lock: a slow request of a check must not wait for that check."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from support.proving import settings_of
from support.virtual_loop import LoopClock, run_virtually

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
