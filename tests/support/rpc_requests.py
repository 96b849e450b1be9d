"""Sends requests with the worker's own client, on a clock that skips every wait."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from support.proving import JumpingClock, settings_of

from cryo_ingest.ports import Call
from cryo_ingest.rpc.client import HttpChain, HttpNode

METHOD = "eth_getBlockByNumber"


class LongestWaits(Random):
    """Randomness that shortens no wait."""

    def random(self) -> float:
        """Return the least number."""
        return 0.0


def calls(number: int, method: str = METHOD) -> list[Call]:
    """Return different calls of one method."""
    return [Call(method, (hex(block), False)) for block in range(number)]


def results(number: int, method: str = METHOD) -> list[str]:
    """Return the true results of those calls, as `json_rpc` answers them."""
    return [f"{method}{list(call.params)}" for call in calls(number, method)]


def with_node(
    url: str, act: Callable[[HttpNode], Awaitable[Any]], clock: JumpingClock | None = None, seconds: float = 3600
) -> Any:
    """Open an endpoint, call `act` with it, and return the result."""
    used = clock or JumpingClock()

    async def main() -> Any:
        async with HttpChain(settings_of(url), used, random=LongestWaits()).open(
            url, name="it", deadline=used.now + seconds
        ) as node:
            return await act(node)

    return asyncio.run(main())


def ask(url: str, sent: list[Call], clock: JumpingClock | None = None, **options: Any) -> list[Any]:
    """Send some calls and return the answers."""
    seconds = options.pop("seconds", 3600)
    found: list[Any] = with_node(url, lambda node: node.request(sent, **options), clock, seconds)
    return found
