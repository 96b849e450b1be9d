"""Our own JSON-RPC client: calls in batches, bounded and paced, asked again while that can help.

What Cryo lacks is here: HTTP errors and lost connections are retried, `Retry-After` is heeded, nothing waits past the
attempt's deadline, no answer can fill the memory. How one looks is `rpc_answers.py`'s, what it means is `prove`'s.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryo_ingest.errors import EndpointUnusable, NodeUnavailable
from cryo_ingest.extract.rpc_answers import Refused, is_worth_another_try, parse_answers, refuse_status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import aiohttp

    from cryo_ingest.ports import Call, Clock
    from cryo_ingest.settings import Settings

BATCH_CALLS = 50
"""Calls in one HTTP request: what most providers take; one that refuses gets smaller ones."""

CALLS_IN_FLIGHT = 400
"""Eight batches, unless `TRACE_CRYO_MAX_CONCURRENT_REQUESTS` says otherwise; Cryo itself has 100 requests in flight."""

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0

LARGEST_ANSWER_BYTES = 64 * 1024**2
"""Of one HTTP request, unpacked; a batch that exceeds it is halved. A full block's receipts are below 10 MB."""

_READ_BYTES = 256 * 1024
_THREAD_BYTES = 1024**2
"""Answers longer than this are parsed off the event loop."""


@dataclass(frozen=True, slots=True)
class Haste:
    """How often a request is tried, and how long each time."""

    tries: int
    timeout_seconds: float


PATIENT = Haste(tries=6, timeout_seconds=30.0)
QUICK = Haste(tries=3, timeout_seconds=10.0)


@dataclass(frozen=True, slots=True)
class HttpChain:
    """Opens endpoints over HTTP; see `ports.Chain`."""

    settings: Settings
    clock: Clock

    @asynccontextmanager
    async def open(self, url: str, *, name: str, until: float) -> AsyncIterator[HttpNode]:
        """Open one endpoint; as with Cryo, a URL without a scheme is one of `http://`."""
        whole = url if "://" in url else f"http://{url}"
        try:
            parts = urlsplit(whole)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise EndpointUnusable(endpoint=name)

        import aiohttp  # noqa: PLC0415 - fake mode never pays for it

        connector = aiohttp.TCPConnector(limit=CALLS_IN_FLIGHT)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            in_flight = self.settings.max_concurrent_requests or CALLS_IN_FLIGHT
            per_second = self.settings.requests_per_second
            size = min(BATCH_CALLS, in_flight, per_second or BATCH_CALLS)
            pace = Pace(self.clock, per_second)
            yield HttpNode(session, whole, name, until, pace, size, asyncio.Semaphore(max(1, in_flight // size)))


@dataclass(slots=True)
class Pace:
    """Spreads calls over time: `per_second` of them at most, None for no bound."""

    clock: Clock
    per_second: int | None
    _next: float = 0.0

    async def take(self, calls: int) -> None:
        """Wait until so many calls may be sent."""
        if self.per_second is None:
            return
        now = self.clock.monotonic()
        start = max(now, self._next)
        self._next = start + calls / self.per_second
        if start > now:
            await self.clock.sleep(start - now)


@dataclass(slots=True)
class HttpNode:
    """One endpoint; see `ports.Node`. `batch_calls` shrinks where batches are refused."""

    session: aiohttp.ClientSession
    url: str = field(repr=False)
    name: str
    until: float
    pace: Pace
    batch_calls: int
    batches: asyncio.Semaphore
    billed_calls: int = 0

    async def ask(self, calls: Sequence[Call], *, quick: bool = False, optional: bool = False) -> list[Any]:
        """Ask all calls, batches of them side by side."""
        del optional
        answers: dict[int, Any] = {}
        haste = QUICK if quick else PATIENT
        size = self.batch_calls
        numbered = list(enumerate(calls))
        try:
            async with asyncio.TaskGroup() as group:
                for start in range(0, len(numbered), size):
                    group.create_task(self._ask_batch(numbered[start : start + size], answers, haste))
        except* NodeUnavailable as failures:
            first = failures.exceptions[0]
        else:
            return [answers[place] for place in range(len(numbered))]
        raise first

    async def _ask_batch(self, batch: list[tuple[int, Call]], answers: dict[int, Any], haste: Haste) -> None:
        """Ask until every call of a batch is answered, or nothing more can be hoped for."""
        waiting, tries, backoff = batch, 0, FIRST_BACKOFF_SECONDS
        while waiting:
            if len(waiting) > (size := self.batch_calls):
                for start in range(0, len(waiting), size):
                    await self._ask_batch(waiting[start : start + size], answers, haste)
                return
            try:
                found = await self._post(waiting, haste.timeout_seconds)
            except Refused as refusal:
                if refusal.halve and len(waiting) > 1:
                    self.batch_calls = max(1, len(waiting) // 2)
                    continue
                if not refusal.again:
                    raise self._failed(waiting, refusal.reason) from None
                reason, pause = refusal.reason, refusal.retry_after_seconds
            else:
                answers |= {place: answer for place, answer in found.items() if not is_worth_another_try(answer)}
                waiting = [(place, call) for place, call in waiting if place not in answers]
                limited = any(is_worth_another_try(answer) for answer in found.values())
                reason, pause = "it limits the rate" if limited else "calls of a batch were left unanswered", None
            if waiting:
                tries += 1
                pause = backoff if pause is None else pause
                if tries == haste.tries or self.pace.clock.monotonic() + pause >= self.until:
                    raise self._failed(waiting, f"{reason}, after {tries} tries")
                await self.pace.clock.sleep(pause)
                backoff = min(2 * backoff, LONGEST_BACKOFF_SECONDS)

    async def _post(self, batch: list[tuple[int, Call]], timeout_seconds: float) -> dict[int, Any]:
        """Send one request, a plain call where there is but one, and return the answers by place.

        Raises:
            Refused: the request as a whole got no answer that can be used.
        """
        import aiohttp  # noqa: PLC0415 - loaded by `open` already

        requests = [
            {"jsonrpc": "2.0", "id": place, "method": call.method, "params": list(call.params)} for place, call in batch
        ]
        body = json.dumps(requests if len(requests) > 1 else requests[0], separators=(",", ":")).encode()
        async with self.batches:
            await self.pace.take(len(batch))
            remaining = self.until - self.pace.clock.monotonic()
            if remaining <= 0:
                raise Refused("the attempt's deadline has come", again=False)
            self.billed_calls += len(batch)
            try:
                async with self.session.post(
                    self.url,
                    data=body,
                    headers={"Content-Type": "application/json"},
                    timeout=aiohttp.ClientTimeout(total=min(timeout_seconds, remaining)),
                    allow_redirects=False,
                ) as answer:
                    refuse_status(answer.status, answer.headers.get("Retry-After"))
                    content = await _read(answer.content)
            except TimeoutError:
                raise Refused("no answer in time") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                # Not the error's own words: they hold the URL.
                raise Refused(f"no answer ({type(error).__name__})") from None
        if len(content) > _THREAD_BYTES:
            return await asyncio.to_thread(parse_answers, content, [place for place, _ in batch])
        return parse_answers(content, [place for place, _ in batch])

    def _failed(self, waiting: list[tuple[int, Call]], reason: str) -> NodeUnavailable:
        return NodeUnavailable(endpoint=self.name, method=waiting[0][1].method, reason=reason)


async def _read(stream: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    while part := await stream.read(_READ_BYTES):
        size += len(part)
        if size > LARGEST_ANSWER_BYTES:
            raise Refused(f"an answer of more than {LARGEST_ANSWER_BYTES} bytes", again=False, halve=True)
        parts.append(part)
    return b"".join(parts)
