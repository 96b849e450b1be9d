"""A proxy in front of a store or queue: forwards requests unchanged, reports them to a listener, injects store faults.

Signature and Host are forwarded too. A `hang` before or after the store executes a request stops a worker at an exact
point of its upload.
"""

from __future__ import annotations

import asyncio
import io
import socket
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web
from yarl import URL

from harness.faults import Script, StoreFault
from harness.faults.store import SKEW_SECONDS
from harness.stores.defects import apply_defect
from harness.stores.signing import sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.stores.bucket import S3Endpoint

LOOPBACK = "127.0.0.1"
MAX_BODY_BYTES = 6 * 1024**3
LARGE_BODY_BYTES = 2**20
"""aiohttp needs larger bodies as a file object, so that it can stream them."""
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; `port` is the port of the proxy on which it arrived."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    query: str = ""
    body: bytes = field(default=b"", repr=False)
    port: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """How a request ended.

    `status` is the status that the server returned; None if the request was not forwarded. `delivered_status` is the
    status that the client received; None if it received no complete response. `fault` is the fault that applied.
    """

    status: int | None
    delivered_status: int | None
    fault: StoreFault | None
    body: bytes = field(default=b"", repr=False)


class Listener:
    """The base class of listeners, which does nothing. The proxy's thread calls it twice for every request."""

    def on_request(self, number: int, request: Request) -> None:
        """Handle a request that arrived, before it is forwarded."""

    def on_response(self, number: int, request: Request, response: Response) -> None:
        """Handle the response to a request, before it is sent to the client."""


class StoreProxy:
    """A proxy in front of an S3 endpoint during the `with` block; `url` is the address of the proxy.

    With `sign_as`, every request is signed again. An external endpoint needs this, because it checks the Host in the
    signature. With `keys`, only requests that a defect changes are signed again; else they keep their signature.
    """

    def __init__(  # noqa: PLR0913 - each is optional
        self,
        target: str,
        fault: StoreFault | Sequence[StoreFault] | None = None,
        on_hang: Callable[[], None] | None = None,
        listener: Listener | None = None,
        sign_as: S3Endpoint | None = None,
        *,
        keys: S3Endpoint | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._target, self._sign_as, self._keys, self._clock = target, sign_as, sign_as or keys, clock
        self._script = Script(() if fault is None else (fault,) if isinstance(fault, StoreFault) else fault)
        self._on_hang = on_hang or (lambda: None)
        self._listener = listener or Listener()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="store-proxy", daemon=True)
        self.requests: list[Request] = []
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def fired(self) -> list[StoreFault]:
        """The faults that have applied to a request."""
        return self._script.fired

    @property
    def unfired(self) -> list[StoreFault]:
        """The faults that have not applied to any request yet."""
        return self._script.unfired

    def open_port(self) -> str:
        """Open another port and return its URL, so that the requests of one client can be recognised by their port.

        It returns before the port is served, and connections wait until then: the caller may hold a lock for which a
        listener waits in the proxy's thread.
        """
        listening = socket.create_server((LOOPBACK, 0))
        url = "http://{}:{}".format(*listening.getsockname()[:2])
        asyncio.run_coroutine_threadsafe(self._open(listening), self._loop)
        return url

    async def _open(self, listening: socket.socket) -> None:
        await web.SockSite(self._runner, listening).start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        # Do not add headers that the client did not send: with Accept-Encoding, the store would use gzip.
        not_added = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
        async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=not_added) as self._session:
            await self._runner.setup()
            listening = socket.create_server((LOOPBACK, 0))
            self.url = "http://{}:{}".format(*listening.getsockname()[:2])
            await self._open(listening)
            self._ready.set()
            await self._stop.wait()
            await self._runner.cleanup()

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        body = await incoming.read()
        port = incoming.transport.get_extra_info("sockname")[1] if incoming.transport is not None else 0
        request = Request(incoming.method, incoming.path, dict(incoming.headers), incoming.query_string, body, port)
        self.requests.append(request)
        number = len(self.requests)
        self._listener.on_request(number, request)
        fault = self._find_fault(incoming)
        headers = self._headers_to_forward(incoming)
        if fault is not None and fault.defect is not None:
            changed = apply_defect(fault.defect, incoming.headers, body)
            if changed is None:
                return await self._send_fault(incoming, number, request, Response(None, fault.answered_status, fault))
            headers, body = self._sign_altered(incoming, changed.headers), changed.body
        elif fault is not None and fault.when == "before":
            return await self._send_fault(incoming, number, request, Response(None, fault.answered_status, fault))
        async with self._session.request(
            incoming.method,
            URL(self._target + incoming.raw_path, encoded=True),
            headers=headers,
            data=body if len(body) < LARGE_BODY_BYTES else io.BytesIO(body),
        ) as answer:
            content = await answer.read()
        if fault is not None and fault.defect is None:
            return await self._send_fault(
                incoming, number, request, Response(answer.status, fault.answered_status, fault, content)
            )
        self._listener.on_response(number, request, Response(answer.status, answer.status, fault, content))
        passed_on = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        if incoming.method == "HEAD":
            passed_on["Content-Length"] = answer.headers.get("Content-Length", "0")
        return web.Response(status=answer.status, headers=passed_on, body=content)

    def _headers_to_forward(self, request: web.Request) -> Mapping[str, str]:
        if self._sign_as is None:
            return request.headers
        return sign(request.method, self._target + request.raw_path, request.headers, self._sign_as)

    def _sign_altered(self, request: web.Request, headers: dict[str, str]) -> Mapping[str, str]:
        if self._keys is None:
            return headers
        return sign(request.method, self._target + request.raw_path, headers, self._keys)

    def _find_fault(self, request: web.Request) -> StoreFault | None:
        """Count a request for every fault that it matches, and return the first that applies."""
        method, path, query = request.method, request.path, request.query_string
        return self._script.fire_first(lambda fault: fault.matches(method, path, query, request.headers))

    async def _send_fault(
        self, incoming: web.Request, number: int, request: Request, response: Response
    ) -> web.StreamResponse:
        self._listener.on_response(number, request, response)
        fault = response.fault
        assert fault is not None  # noqa: S101 - only called with a fault
        if fault.do in {"reset", "cut"}:
            return await self._send_broken_response(incoming, fault, response.body)
        if fault.do == "hang":
            self._on_hang()
            await asyncio.Event().wait()
        status, code, message = fault.response
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        skew_seconds = SKEW_SECONDS if fault.do == "clock-skew" else 0.0
        date = formatdate(self._clock() + skew_seconds, usegmt=True)
        return web.Response(status=status, text=text, content_type="application/xml", headers={"Date": date})

    async def _send_broken_response(self, incoming: web.Request, fault: StoreFault, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body) + 64)})
        if fault.do == "cut":
            await response.prepare(incoming)
            await response.write(body[: len(body) // 2] or b"<")
        if incoming.transport is not None:
            incoming.transport.close() if fault.do == "cut" else incoming.transport.abort()
        return response
