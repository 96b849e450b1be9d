"""Asks a second time for what one HTTP request leaves unanswered for unusually long, while the first one still runs.

A provider's request can hang for ever although all others are answered in milliseconds. The second request goes to
another endpoint of the pool if there is one, otherwise to the same one on another connection. The first response wins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryo_ingest.rpc.replies import RequestFailed

if TYPE_CHECKING:
    from cryo_ingest.ports import Call, Clock

IndexedCall = tuple[int, "Call"]
"""A call and its index among the calls of the request."""

MIN_HEDGE_SECONDS = 0.5
SLOWER_THAN_USUAL = 3.0
"""A request is slow after this many times the longest of the recent response times."""

RECENT_RESPONSES = 32
MAX_SHARE = 0.05
"""Of all calls sent: more hedged calls would burden an endpoint that is slow because it is overloaded."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answers in one HTTP response by index, and the size of its body."""

    answers: dict[int, Any]
    size_bytes: int = 0


Post = Callable[[list[IndexedCall], float], Awaitable[Response]]
"""Sends one HTTP request with a timeout in seconds, and returns its response or raises RequestFailed."""


@dataclass(slots=True)
class Hedger:
    """Sends the requests of one endpoint, and counts its calls."""

    clock: Clock
    calls_sent: int = 0
    calls_hedged: int = 0
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_RESPONSES))

    async def send(self, batch: list[IndexedCall], timeout_seconds: float, *, post: Post, again: Post) -> Response:
        """Send a request with `post`, and with `again` if it is unusually slow and not too many have been already.

        Raises:
            RequestFailed: the request, or both, failed.
        """
        self.calls_sent += len(batch)
        started = self.clock.monotonic()
        if not self._seconds:
            response = await post(batch, timeout_seconds)
        else:
            first = asyncio.ensure_future(post(batch, timeout_seconds))
            try:
                done, _ = await asyncio.wait([first], timeout=self._slow_seconds())
                within = self.calls_hedged + len(batch) <= max(MAX_SHARE * self.calls_sent, len(batch))
                if done or not within:
                    response = await first
                else:
                    response = await self._race(first, batch, timeout_seconds, again=again)
            finally:
                first.cancel()
        self._seconds.append(self.clock.monotonic() - started)
        return response

    def _slow_seconds(self) -> float:
        return max(MIN_HEDGE_SECONDS, SLOWER_THAN_USUAL * max(self._seconds))

    async def _race(
        self, first: asyncio.Future[Response], batch: list[IndexedCall], timeout_seconds: float, *, again: Post
    ) -> Response:
        """Return the first response of two requests; a failure counts only if both fail."""
        self.calls_hedged += len(batch)
        self.calls_sent += len(batch)
        racing = {first, asyncio.ensure_future(again(batch, timeout_seconds))}
        failure: BaseException | None = None
        try:
            while racing:
                done, racing = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
                failures = {each: each.exception() for each in done}
                for each, failure in failures.items():
                    if failure is None:
                        return each.result()
        finally:
            for each in racing:
                await _cancel(each)
        raise failure or RequestFailed("no answer in time")


async def _cancel(request: asyncio.Future[Response]) -> None:
    request.cancel()
    await asyncio.wait([request])
