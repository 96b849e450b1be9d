"""Checks whether an endpoint suits an attempt: it serves the right chain, and the range is final (RNG-5, MOD-7).

The check is made when an endpoint is first needed, before Cryo starts; an endpoint can still fall behind later.
"""

from __future__ import annotations

import math
import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from cryo_ingest.errors import NodeUnavailable, RangeNotFinal, WrongChain
from cryo_ingest.logs import log
from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.pool import Pool
from cryo_ingest.rpc.replies import INVALID_PARAMS
from cryo_ingest.rpc.results import quantity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cryo_ingest.model import Task
    from cryo_ingest.ports import Chain, Clock, Node
    from cryo_ingest.settings import Settings

_INVALID_TAG = re.compile(
    r"invalid|unknown block tag|unsupported|not supported|hex string|unmarshal|parse", re.IGNORECASE
)
_NOT_FOUND = re.compile(r"not found|unknown block\b(?! tag)|not available|no final", re.IGNORECASE)


@asynccontextmanager
async def open_endpoint(
    task: Task, *, settings: Settings, chain: Chain, clock: Clock, deadline: float | None = None
) -> AsyncIterator[Pool]:
    """Provide the endpoints of an attempt and close them at the end; no request is sent until `choose`.

    `deadline` is a monotonic time, by default the configured one from now on.
    """

    async def check(node: Node) -> None:
        await check_endpoint(node, task, confirmations=settings.confirmations)

    async with AsyncExitStack() as stack:
        end = clock.monotonic() + settings.deadline_seconds if deadline is None else deadline
        yield Pool(task.rpc_pool, settings, chain, clock, end, stack, check, anchor=task.range_end - 1)


@asynccontextmanager
async def open_pool(name: str, *, settings: Settings, chain: Chain, clock: Clock) -> AsyncIterator[Pool]:
    """Provide the endpoints of a pool without a task, and without a deadline.

    The first endpoint that gives its chain id serves; another one takes over only if it has the same.
    """
    chain_ids: list[int] = []

    async def check(node: Node) -> None:
        if chain_ids:
            await check_chain_id(node, chain_ids[0], quick=True)
        else:
            chain_ids.append(await _request_number(node, "eth_chainId", quick=True))

    async with AsyncExitStack() as stack:
        yield Pool(name, settings, chain, clock, math.inf, stack, check)


async def check_endpoint(node: Node, task: Task, *, confirmations: int | None) -> None:
    """Check that an endpoint serves the task's chain and has the range as final.

    With `confirmations`, a block is final if the head is at least that many blocks above it; otherwise the tag
    `finalized` decides.

    Raises:
        WrongChain: fatal.
        RangeNotFinal, NodeUnavailable: retryable.
    """
    await check_chain_id(node, task.chain_id, quick=True)
    last = task.range_end - 1
    if confirmations is not None:
        head = await _request_number(node, "eth_blockNumber", quick=True)
        if head - confirmations < last:
            reason = f"its head is {head}, and {confirmations} confirmations are required"
            raise RangeNotFinal(endpoint_name=node.name, last_block=last, reason=reason)
        return
    final = await _finalized(node, last)
    if final is None:
        log.warning("endpoint.no_finality", endpoint=node.name)
        final = await _request_number(node, "eth_blockNumber", quick=True)
    if final < last:
        raise RangeNotFinal(endpoint_name=node.name, last_block=last, reason=f"its last one is block {final}")


async def check_chain_id(node: Node, chain_id: int, *, quick: bool = False) -> None:
    """Check an endpoint's chain; after Cryo has ended too, and then with the long retry policy.

    Raises:
        WrongChain: fatal.
        NodeUnavailable: it returns no chain id.
    """
    actual = await _request_number(node, "eth_chainId", quick=quick)
    if actual != chain_id:
        raise WrongChain(endpoint_name=node.name, expected=chain_id, actual=actual)


async def read_head(node: Node, *, with_final: bool) -> tuple[int, int | None]:
    """Return the number of the head block and of the last final block; None if the node rejects the tag `finalized`.

    Raises:
        RangeNotFinal: it has no final block yet.
        NodeUnavailable: an answer is not a number.
    """
    final = await _finalized(node, 0) if with_final else None
    return await _request_number(node, "eth_blockNumber", quick=True), final


async def _request_number(node: Node, method: str, *, quick: bool) -> int:
    number = quantity((await node.request([Call(method)], quick=quick))[0])
    if number is None:
        raise NodeUnavailable(endpoint_name=node.name, method=method, reason="its answer is not a number")
    return number


async def _finalized(node: Node, last: int) -> int | None:
    """Return the number of the last final block; None if the node rejects the tag itself."""
    (answer,) = await node.request([Call("eth_getBlockByNumber", ("finalized", False))], quick=True, optional=True)
    if isinstance(answer, NodeError):
        if _NOT_FOUND.search(answer.message):
            raise RangeNotFinal(endpoint_name=node.name, last_block=last, reason="it has no final block yet")
        if answer.code == INVALID_PARAMS or _INVALID_TAG.search(answer.message):
            return None
        reason = f"it answered error {answer.code}"
        raise NodeUnavailable(endpoint_name=node.name, method="eth_getBlockByNumber", reason=reason)
    if answer is None:
        raise RangeNotFinal(endpoint_name=node.name, last_block=last, reason="it has no final block yet")
    number = quantity(answer.get("number")) if isinstance(answer, dict) else None
    if number is None:
        raise NodeUnavailable(
            endpoint_name=node.name, method="eth_getBlockByNumber", reason="its final block has no number"
        )
    return number
