"""The worker's own JSON-RPC client over HTTP: opens an endpoint of a pool and sends its requests.

Unlike Cryo, it retries errors, obeys `Retry-After`, never waits past the attempt's deadline, and limits the memory that
a response can take. `batching` groups calls, `replies` parses responses, and `limits` has rate limits and backoff.
`prove` compares the answers with the data.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urljoin, urlsplit, urlunsplit

import msgspec

from cryo_ingest.errors import EndpointUnusable, NodeUnavailable, first_exception_of
from cryo_ingest.meter import RpcMeter
from cryo_ingest.rpc.batching import CallSender
from cryo_ingest.rpc.endpoint_state import EndpointState
from cryo_ingest.rpc.hedging import Hedger, Response
from cryo_ingest.rpc.limits import (
    DEFAULT_POLICY,
    FAILOVER_POLICY,
    MAX_BATCH_CALLS,
    MAX_REQUESTS_IN_FLIGHT,
    QUICK_POLICY,
    InFlightLimiter,
    Outage,
)
from cryo_ingest.rpc.methods import key_of
from cryo_ingest.rpc.rates import LearnedRate, RateLimiter
from cryo_ingest.rpc.replies import (
    OK,
    REDIRECTS,
    AnswerTooLarge,
    OutOfTime,
    RequestFailed,
    check_status,
    parse_answers,
    parse_json,
    retry_after,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from urllib.parse import SplitResult

    import aiohttp

    from cryo_ingest.ports import Call, Clock, FindOther, Limiter, NodeError
    from cryo_ingest.rpc.hedging import IndexedCall
    from cryo_ingest.rpc.limits import RetryPolicy
    from cryo_ingest.settings import Settings

CALLS_IN_FLIGHT = 1000
"""The default of `TRACE_CRYO_MAX_CONCURRENT_REQUESTS`. Cryo without a gateway has 100 calls in flight."""

MAX_ANSWER_BYTES = 64 * 1024**2
"""Of one HTTP response, decompressed; a batch that exceeds it is halved. A full block's receipts are below 10 MB."""

MAX_ERROR_BYTES = 256 * 1024
"""Of the body under a status other than 200, which is only searched for an error object."""

MAX_HEADER_BYTES = 256 * 1024
MAX_HEADERS = 1000
MAX_REDIRECTS = 5

_READ_BYTES = 256 * 1024
_THREAD_BYTES = 1024**2
"""Longer responses are parsed in a thread."""

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HttpChain:
    """Opens endpoints over HTTP; see `ports.Chain`. `random` varies the waits before retries."""

    settings: Settings
    clock: Clock
    meter: RpcMeter = field(default_factory=RpcMeter)
    random: Random = field(default_factory=SystemRandom)

    @asynccontextmanager
    async def open(
        self,
        url: str,
        *,
        name: str,
        deadline: float,
        limiter: Limiter | None = None,
        find_other: FindOther | None = None,
    ) -> AsyncIterator[HttpNode]:
        """Open one endpoint; as in Cryo, a URL without a scheme gets `http://`."""
        address, headers = parse_endpoint(url, name=name)

        import aiohttp  # noqa: PLC0415 - slow to import, and fake mode does not need it

        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_REQUESTS_IN_FLIGHT),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json"} | headers,
            proxy=self.settings.proxies.for_url(address),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        ) as session:
            max_calls = self.settings.max_concurrent_requests or CALLS_IN_FLIGHT
            per_second = self.settings.requests_per_second
            state = EndpointState(
                min(MAX_BATCH_CALLS, max_calls, per_second or MAX_BATCH_CALLS),
                Outage(self.clock, self.random),
                InFlightLimiter(max_calls),
                limiter or RateLimiter(self.clock, per_second),
                LearnedRate(self.clock, name),
                Hedger(self.clock),
                self.meter.endpoint(name),
            )
            timeout = self.settings.rpc_timeout_seconds
            yield HttpNode(session, address, name, deadline, self.clock, state, timeout, find_other)


def parse_endpoint(url: str, *, name: str) -> tuple[str, dict[str, str]]:
    """Return an endpoint's URL without its user info, and the header with the user info, in UTF-8 as Cryo sends it.

    Raises:
        EndpointUnusable: it is not an HTTP URL.
    """
    complete = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(complete)
        usable = parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise EndpointUnusable(endpoint_name=name)
    user_info, at, host = parts.netloc.rpartition("@")
    address = urlunsplit(parts._replace(netloc=host))
    if not at or user_info in {"", ":"}:
        return address, {}
    user, _, password = user_info.partition(":")
    # An environment can hold bytes that are not UTF-8, which Python represents as lone surrogates.
    credentials = b":".join(unquote_to_bytes(part.encode(errors="surrogateescape")) for part in (user, password))
    return address, {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}


@dataclass(slots=True)
class HttpNode:
    """One endpoint; see `ports.Node`."""

    session: aiohttp.ClientSession
    url: str = field(repr=False)
    name: str
    deadline: float
    clock: Clock
    state: EndpointState
    timeout_seconds: float
    find_other: FindOther | None = None
    billed_calls: int = 0

    async def request(self, calls: Sequence[Call], *, quick: bool = False, optional: bool = False) -> list[Any]:
        """Send all calls, in concurrent batches; see `ports.Node`."""
        policy = QUICK_POLICY if quick else DEFAULT_POLICY
        answers: dict[int, Any] = {}
        await self._send(
            list(enumerate(calls)), answers.__setitem__, policy=policy, optional=optional, decode=parse_json
        )
        return [answers[index] for index in range(len(calls))]

    async def send(
        self, calls: Sequence[IndexedCall], deliver: Callable[[int, bytes | NodeError], None], *, patient: bool
    ) -> None:
        """Send calls and deliver each answer as soon as it is there; see `ports.Node`."""
        policy = DEFAULT_POLICY if patient else FAILOVER_POLICY
        await self._send(calls, deliver, policy=policy, optional=True, decode=bytes)

    async def _send(
        self,
        calls: Sequence[IndexedCall],
        deliver: Callable[[int, Any], None],
        *,
        policy: RetryPolicy,
        optional: bool,
        decode: Callable[[msgspec.Raw], Any],
    ) -> None:
        policy = replace(policy, timeout_seconds=min(policy.timeout_seconds, self.timeout_seconds))
        sender = CallSender(
            self.name,
            self.deadline,
            self.clock,
            self.state,
            partial(self.post, decode=decode),
            partial(self._post_again, decode=decode),
            policy,
            optional=optional,
            deliver=deliver,
        )
        by_method: dict[str, list[IndexedCall]] = {}
        for indexed in calls:
            by_method.setdefault(indexed[1].method, []).append(indexed)
        try:
            async with asyncio.TaskGroup() as group:
                for batch in by_method.values():
                    group.create_task(sender.send(batch))
        except* (NodeUnavailable, EndpointUnusable) as failures:
            first = first_exception_of(failures, Exception) or failures
        else:
            return
        raise first

    async def _post_again(
        self, batch: list[IndexedCall], timeout_seconds: float, *, decode: Callable[[msgspec.Raw], Any]
    ) -> Response:
        """Send a request that was slow once more, to another endpoint if there is one."""
        other = None if self.find_other is None else await self.find_other()
        target = other if isinstance(other, HttpNode) else self
        await target.state.wait_until_allowed(len(batch))
        target.state.meter.of(key_of(batch[0][1].method)).hedged_calls += len(batch)
        return await target.post(batch, timeout_seconds, decode=decode)

    async def post(
        self, batch: list[IndexedCall], timeout_seconds: float, *, decode: Callable[[msgspec.Raw], Any]
    ) -> Response:
        """Send one HTTP request, a single call outside a list, and return the answers by index.

        Raises:
            RequestFailed: the response can't be used for any of the calls.
        """
        import aiohttp  # noqa: PLC0415 - loaded by `open` already

        requests = [
            {"jsonrpc": "2.0", "id": index, "method": call.method, "params": call.params} for index, call in batch
        ]
        body = msgspec.json.encode(requests if len(requests) > 1 else requests[0])
        remaining = self.deadline - self.clock.monotonic()
        if remaining <= 0:
            raise OutOfTime("it was not asked any more", final=True)
        self.billed_calls += len(batch)
        counts, sent_at = self.state.meter.of(key_of(batch[0][1].method)), self.clock.monotonic()
        counts.calls += len(batch)
        try:
            async with asyncio.timeout(min(timeout_seconds, remaining)):
                status, headers, content = await self._exchange(body)
        except TimeoutError:
            if remaining <= timeout_seconds:
                raise OutOfTime("no answer in time") from None
            raise RequestFailed("no answer in time", about_time=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Without the error's own text, which contains the URL.
            raise RequestFailed(f"no answer ({type(error).__name__})") from None
        finally:
            counts.observe(self.clock.monotonic() - sent_at)
        counts.received_bytes += len(content)
        indices = [index for index, _ in batch]
        if status != OK:
            wait = retry_after(headers, self.clock.time())
            return Response(check_status(status, content, retry_after_seconds=wait, indices=indices))
        parse = partial(parse_answers, content, indices, decode=decode)
        # Splitting a response is fast; only decoding a long one would block the event loop.
        in_thread = len(content) > _THREAD_BYTES and decode is not bytes
        return Response(await asyncio.to_thread(parse) if in_thread else parse(), len(content))

    async def _exchange(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Post a body, follow redirects on the same host, and return status, headers and body of the response.

        Raises:
            EndpointUnusable: it redirects to another host, or in a circle.
        """
        import aiohttp  # noqa: PLC0415 - loaded by `open` already

        url = self.url
        timeout = aiohttp.ClientTimeout(total=None)
        for _ in range(MAX_REDIRECTS + 1):
            async with self.session.post(url, data=body, timeout=timeout, allow_redirects=False) as response:
                location = response.headers.get("Location")
                if response.status not in REDIRECTS or location is None:
                    return response.status, response.headers, await _read_body(response)
            url = self._redirected(url, location)
        raise EndpointUnusable(endpoint_name=self.name, problem="redirects requests in a circle")

    def _redirected(self, url: str, location: str) -> str:
        """Return the target of a redirect on the same host; the key in the URL must not reach another host."""
        try:
            target = urlsplit(urljoin(url, location))
            is_same = _origin(target) == _origin(urlsplit(url))
        except ValueError:
            is_same = False
        if not is_same:
            raise EndpointUnusable(endpoint_name=self.name, problem="redirects requests to another host")
        return urlunsplit(target._replace(netloc=target.netloc.rpartition("@")[2], fragment=""))


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read a body; one that is too long is an error, or is cut off under a status other than 200."""
    max_bytes = MAX_ANSWER_BYTES if response.status == OK else MAX_ERROR_BYTES
    parts, size = [], 0
    while part := await response.content.read(_READ_BYTES):
        size += len(part)
        if size > max_bytes:
            if response.status == OK:
                raise AnswerTooLarge(max_bytes)
            break
        parts.append(part)
    return b"".join(parts)
