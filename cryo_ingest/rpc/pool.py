"""The endpoints of one pool as one node: the first suitable one serves, and another one takes over if it fails.

`choose` picks the first endpoint that passes the check (RNG-5, MOD-7). The others are opened only when they are needed:
because the serving endpoint fails (RPC-4), or to ask for what it leaves unanswered for unusually long. An endpoint
takes part only if it passes the same check and has the same block at the end of the range.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from cryo_ingest.errors import EndpointsDisagree, EndpointUnusable, FatalError, IngestError, NodeUnavailable
from cryo_ingest.logs import log
from cryo_ingest.ports import Call
from cryo_ingest.rpc.rates import RateLimiter
from cryo_ingest.rpc.results import UnusableResult, parse_header

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from cryo_ingest.ports import Chain, Clock, Node, NodeError
    from cryo_ingest.settings import Settings

T = TypeVar("T")

OUT_SECONDS = 30.0
"""How long an endpoint that failed is not asked; then it is checked again before it serves."""


@dataclass(slots=True)
class Member:
    """One endpoint of the pool; `out_until` is a monotonic time. `replaced` is set while another one serves instead."""

    name: str
    url: str = field(repr=False)
    node: Node | None = None
    out_until: float = float("-inf")
    replaced: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Pool:
    """One attempt's endpoints; implements `ports.Node` on the one that serves at the time.

    `check` raises an IngestError for an endpoint that is not suitable. All endpoints must have the same hash of block
    `anchor`, if it is given.
    """

    name_of_pool: str
    settings: Settings
    chain: Chain
    clock: Clock
    deadline: float
    stack: AsyncExitStack
    check: Callable[[Node], Awaitable[None]]
    anchor: int | None = None
    _members: list[Member] = field(default_factory=list)
    _serving: Member | None = None
    _anchor_hash: bytes | None = None
    _limiter: RateLimiter | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        """The name of the endpoint that serves."""
        return self._serving.name if self._serving is not None else "the RPC pool"

    @property
    def url(self) -> str | None:
        """The URL of the endpoint that serves, a secret."""
        return self._serving.url if self._serving is not None else None

    @property
    def billed_calls(self) -> int:
        """The number of calls sent to all endpoints, including retries."""
        return sum(member.node.billed_calls for member in self._members if member.node is not None)

    async def choose(self) -> Node:
        """Choose the first suitable endpoint of the pool, once, and return the pool as a node.

        Raises:
            RpcPoolUnresolved: the pool has no endpoint.
            RangeNotFinal, NodeUnavailable: none is suitable, but one may be later.
            WrongChain, EndpointUnusable: none is suitable, and none will be later.
        """
        async with self._lock:
            if self._serving is not None:
                return self
            urls = self.settings.rpc.resolve(self.name_of_pool)
            self._limiter = RateLimiter(self.clock, self.settings.requests_per_second)
            variable = self.settings.rpc.variable_of(self.name_of_pool)
            self._members = [
                Member(f"endpoint {index} of {len(urls)} in {variable}", url) for index, url in enumerate(urls, start=1)
            ]
            problems: list[IngestError] = []
            for member in self._members:
                try:
                    node = await self._open(member)
                    await self.check(node)
                    if len(urls) > 1 and self.anchor is not None:
                        self._anchor_hash = await _hash_of(node, self.anchor)
                except IngestError as problem:
                    problems.append(problem)
                    self._reject(member, problem)
                else:
                    self._serving = member
                    log.info("endpoint.chosen", endpoint=member.name)
                    return self
        raise next((problem for problem in problems if not isinstance(problem, FatalError)), problems[0])

    async def request(self, calls: Sequence[Call], *, quick: bool = False, optional: bool = False) -> list[Any]:
        """Send calls and return their answers; see `ports.Node`."""
        while True:
            member, node = await self._serving_node()
            try:
                answering = node.request(calls, quick=quick or self._may_fail_over(), optional=optional)
                return await _unless_replaced(member, answering)
            except _Replaced:
                continue
            except (NodeUnavailable, EndpointUnusable) as problem:
                if not await self._fail_over(member, problem):
                    raise

    async def send(
        self, calls: Sequence[tuple[int, Call]], deliver: Callable[[int, bytes | NodeError], None], *, patient: bool
    ) -> None:
        """Send calls and deliver each answer; see `ports.Node`."""
        waiting = dict(calls)

        def answered(index: int, answer: bytes | NodeError) -> None:
            if waiting.pop(index, None) is not None:
                deliver(index, answer)

        while waiting:
            member, node = await self._serving_node()
            try:
                patiently = patient and not self._may_fail_over()
                await _unless_replaced(member, node.send(list(waiting.items()), answered, patient=patiently))
            except _Replaced:
                continue
            except (NodeUnavailable, EndpointUnusable) as problem:
                if not await self._fail_over(member, problem):
                    raise

    async def find_other(self) -> Node | None:
        """Return another suitable endpoint than the one that serves, None if there is none at the moment."""
        async with self._lock:
            try:
                member = await self._find_substitute()
            except EndpointsDisagree:
                return None
            return None if member is None else member.node

    async def _find_other_now(self) -> Node | None:
        """Return another endpoint for a request that is slow; None while endpoints are being checked.

        That request may belong to the check itself, which holds the lock: waiting for it would never end.
        """
        return None if self._lock.locked() else await self.find_other()

    async def _serving_node(self) -> tuple[Member, Node]:
        await self.choose()
        member = self._serving
        if member is None or member.node is None:
            raise RuntimeError(self.name_of_pool)  # `choose` has set both or has raised
        return member, member.node

    def _may_fail_over(self) -> bool:
        """Return whether another endpoint could serve now."""
        now = self.clock.monotonic()
        return any(member is not self._serving and member.out_until <= now for member in self._members)

    async def _fail_over(self, failed: Member, problem: IngestError) -> bool:
        """Let another endpoint serve instead of `failed`; return whether the calls can be sent again.

        Raises:
            EndpointsDisagree: the other endpoint has another block at the end of the range.
        """
        async with self._lock:
            if self._serving is not failed:
                return True
            if not self._may_fail_over():
                return False
            substitute = await self._find_substitute()
            if substitute is not None:
                self._reject(failed, problem)
                self._serving = substitute
                substitute.replaced.clear()
                failed.replaced.set()
                log.warning("endpoint.failed_over", endpoint=substitute.name, failed=failed.name)
            return True  # without a substitute, the endpoint is asked again with patience

    async def _find_substitute(self) -> Member | None:
        for member in self._members:
            if member is self._serving or member.out_until > self.clock.monotonic():
                continue
            try:
                node = await self._open(member)
                await self.check(node)
                if self.anchor is not None and await _hash_of(node, self.anchor) != self._anchor_hash:
                    raise EndpointsDisagree(endpoint_name=member.name, block=self.anchor)
            except IngestError as unfit:
                self._reject(member, unfit)
                if isinstance(unfit, EndpointsDisagree):
                    raise
            else:
                return member
        return None

    async def _open(self, member: Member) -> Node:
        if member.node is None:
            member.node = await self.stack.enter_async_context(
                self.chain.open(
                    member.url,
                    name=member.name,
                    deadline=self.deadline,
                    limiter=self._limiter,
                    find_other=self._find_other_now if len(self._members) > 1 else None,
                )
            )
        return member.node

    def _reject(self, member: Member, problem: IngestError) -> None:
        member.out_until = self.clock.monotonic() + OUT_SECONDS
        log.warning("endpoint.rejected", endpoint=member.name, error=type(problem).__name__, message=str(problem))


class _Replaced(Exception):
    """Another endpoint has taken over while calls waited for this one."""


async def _unless_replaced(member: Member, coroutine: Coroutine[Any, Any, T]) -> T:
    """Await a node's answers; give up as soon as another endpoint serves instead.

    Otherwise calls that wait for an endpoint that is down would wait for as long as it is.

    Raises:
        _Replaced: another one does.
    """
    answering, replaced = asyncio.ensure_future(coroutine), asyncio.ensure_future(member.replaced.wait())
    try:
        await asyncio.wait({answering, replaced}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        raise _Replaced
    finally:
        answering.cancel()
        replaced.cancel()
        await asyncio.gather(answering, replaced, return_exceptions=True)


async def _hash_of(node: Node, number: int) -> bytes:
    (answer,) = await node.request([Call("eth_getBlockByNumber", (hex(number), False))], quick=True)
    try:
        return parse_header(answer, number).hash
    except UnusableResult as problem:
        raise NodeUnavailable(
            endpoint_name=node.name, method="eth_getBlockByNumber", reason=f"it has no block {number} ({problem})"
        ) from None
