"""Our own JSON-RPC client over HTTP: opens an endpoint of a pool and sends its requests.

What Cryo lacks is here: errors are asked again, `Retry-After` is obeyed, nothing waits past the attempt's deadline, no
answer can fill the memory. How calls are asked is `rpc_asking.py`'s, how answers look `rpc_answers.py`'s, when a
request may be sent `rpc_pacing.py`'s; what an answer means for the data is `prove`'s.
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urljoin, urlsplit, urlunsplit

from cryo_ingest.errors import EndpointUnusable, NodeUnavailable
from cryo_ingest.rpc.batching import Learned, Question
from cryo_ingest.rpc.limits import LONG, MOST_REQUESTS, SHORT, InFlight, Outage, RateLimiter
from cryo_ingest.rpc.replies import OK, REDIRECTS, RequestFailed, check_status, parse_answers, retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from urllib.parse import SplitResult

    import aiohttp

    from cryo_ingest.ports import Call, Clock
    from cryo_ingest.rpc.batching import Indexed
    from cryo_ingest.settings import Settings

BATCH_CALLS = 50
"""Calls in one HTTP request: what most providers take; one that refuses gets smaller ones."""

CALLS_IN_FLIGHT = 400
"""Eight batches, unless `TRACE_CRYO_MAX_CONCURRENT_REQUESTS` says otherwise; Cryo itself has 100 requests in flight."""

LARGEST_ANSWER_BYTES = 64 * 1024**2
"""Of one HTTP request, unpacked; a batch that exceeds it is halved. A full block's receipts are below 10 MB."""

LARGEST_REFUSAL_BYTES = 256 * 1024
"""Of the body under a status other than 200, which is only looked at for an error object."""

LARGEST_HEADER_BYTES = 256 * 1024
MOST_HEADERS = 1000
MOST_REDIRECTS = 5

_READ_BYTES = 256 * 1024
_THREAD_BYTES = 1024**2
"""Answers longer than this are parsed off the event loop."""

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HttpChain:
    """Opens endpoints over HTTP; see `ports.Chain`."""

    settings: Settings
    clock: Clock

    @asynccontextmanager
    async def open(self, url: str, *, name: str, until: float) -> AsyncIterator[HttpNode]:
        """Open one endpoint; as with Cryo, a URL without a scheme is one of `http://`."""
        address, headers = parse_endpoint(url, name=name)

        import aiohttp  # noqa: PLC0415 - fake mode never pays for it

        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MOST_REQUESTS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json"} | headers,
            proxy=self.settings.proxies.for_url(address),
            max_line_size=LARGEST_HEADER_BYTES,
            max_field_size=LARGEST_HEADER_BYTES,
            max_headers=MOST_HEADERS,
        ) as session:
            in_flight = self.settings.max_concurrent_requests or CALLS_IN_FLIGHT
            per_second = self.settings.requests_per_second
            most = min(BATCH_CALLS, in_flight, per_second or BATCH_CALLS)
            learned = Learned(most, Outage(self.clock), InFlight(in_flight))
            yield HttpNode(session, address, name, until, RateLimiter(self.clock, per_second), learned)


def parse_endpoint(url: str, *, name: str) -> tuple[str, dict[str, str]]:
    """Return an endpoint's URL without its user info, and the header that carries it, in UTF-8 as Cryo sends it.

    Raises:
        EndpointUnusable: it is not an HTTP URL.
    """
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(whole)
        usable = parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise EndpointUnusable(endpoint=name)
    user_info, at, host = parts.netloc.rpartition("@")
    address = urlunsplit(parts._replace(netloc=host))
    if not at or user_info in {"", ":"}:
        return address, {}
    user, _, password = user_info.partition(":")
    # An environment can hold bytes that are not UTF-8, which Python hands over as lone surrogates.
    credentials = b":".join(unquote_to_bytes(part.encode(errors="surrogateescape")) for part in (user, password))
    return address, {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}


@dataclass(slots=True)
class HttpNode:
    """One endpoint; see `ports.Node`."""

    session: aiohttp.ClientSession
    url: str = field(repr=False)
    name: str
    until: float
    pace: RateLimiter
    learned: Learned
    billed_calls: int = 0

    async def ask(self, calls: Sequence[Call], *, quick: bool = False, optional: bool = False) -> list[Any]:
        """Ask all calls, batches of them side by side."""
        policy = SHORT if quick else LONG
        asking = Question(self.name, self.until, self.pace.clock, self.learned, self._post, policy, optional)
        by_method: dict[str, list[Indexed]] = {}
        for index, call in enumerate(calls):
            by_method.setdefault(call.method, []).append((index, call))
        try:
            async with asyncio.TaskGroup() as group:
                for indexed in by_method.values():
                    group.create_task(asking.ask_all(indexed))
        except* (NodeUnavailable, EndpointUnusable) as failures:
            first: BaseException = failures
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
        else:
            return [asking.answers[index] for index in range(len(calls))]
        raise first

    async def _post(self, batch: list[Indexed], timeout_seconds: float) -> dict[int, Any]:
        """Send one request, a plain call where there is but one, and return the answers by place.

        Raises:
            RequestFailed: the request as a whole got no answer that can be used.
        """
        import aiohttp  # noqa: PLC0415 - loaded by `open` already

        requests = [
            {"jsonrpc": "2.0", "id": index, "method": call.method, "params": list(call.params)} for index, call in batch
        ]
        body = json.dumps(requests if len(requests) > 1 else requests[0], separators=(",", ":")).encode()
        await self.pace.take(len(batch))
        remaining = self.until - self.pace.clock.monotonic()
        if remaining <= 0:
            raise RequestFailed("the attempt's deadline has come", final=True)
        self.billed_calls += len(batch)
        try:
            async with asyncio.timeout(min(timeout_seconds, remaining)):
                status, headers, content = await self._exchange(body)
        except TimeoutError:
            raise RequestFailed("no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Not the error's own words: they hold the URL.
            raise RequestFailed(f"no answer ({type(error).__name__})") from None
        indices = [index for index, _ in batch]
        if status != OK:
            wait = retry_after(headers, self.pace.clock.time())
            return check_status(status, content, retry_after_seconds=wait, indices=indices)
        if len(content) > _THREAD_BYTES:
            return await asyncio.to_thread(parse_answers, content, indices)
        return parse_answers(content, indices)

    async def _exchange(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Post a body and return status, headers and body of the answer, redirects on the same host followed.

        Raises:
            EndpointUnusable: it redirects elsewhere, or for ever.
        """
        import aiohttp  # noqa: PLC0415 - loaded by `open` already

        url = self.url
        timeout = aiohttp.ClientTimeout(total=None)
        for _ in range(MOST_REDIRECTS + 1):
            async with self.session.post(url, data=body, timeout=timeout, allow_redirects=False) as answer:
                location = answer.headers.get("Location")
                if answer.status not in REDIRECTS or location is None:
                    most = LARGEST_ANSWER_BYTES if answer.status == OK else LARGEST_REFUSAL_BYTES
                    return answer.status, answer.headers, await _read(answer.content, most, whole=answer.status == OK)
            url = self._redirected(url, location)
        raise EndpointUnusable(endpoint=self.name, problem="redirects requests in a circle")

    def _redirected(self, url: str, location: str) -> str:
        """Return where a redirect leads on the same host; the key in the URL must not reach another one."""
        try:
            target = urlsplit(urljoin(url, location))
            same = _origin(target) == _origin(urlsplit(url))
        except ValueError:
            same = False
        if not same:
            raise EndpointUnusable(endpoint=self.name, problem="redirects requests to another host")
        return urlunsplit(target._replace(netloc=target.netloc.rpartition("@")[2], fragment=""))


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


async def _read(stream: aiohttp.StreamReader, most_bytes: int, *, whole: bool) -> bytes:
    """Read a body; one that is too long is cut, or refused where all of it is needed."""
    parts, size = [], 0
    while part := await stream.read(_READ_BYTES):
        size += len(part)
        if size > most_bytes:
            if whole:
                raise RequestFailed(f"an answer of more than {most_bytes} bytes", final=True, about_size=True)
            break
        parts.append(part)
    return b"".join(parts)
