"""A proxy before a store or a queue: forwards requests unchanged, reports them to a listener, carries out store faults.

Signature and Host are forwarded too. A `hang` before or after a request's effect stops a worker at an exact point of
its upload.
"""

from __future__ import annotations

import asyncio
import io
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
from harness.stores.defects import altered
from harness.stores.signing import signed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.stores.bucket import S3Endpoint

LOOPBACK = "127.0.0.1"
MAX_BODY_BYTES = 6 * 1024**3
LARGE_BODY_BYTES = 2**20
"""From this size on aiohttp wants a file, which it sends piece by piece."""
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
    """How a request ended: the server's status (None: never forwarded), the client's (None: incomplete), the fault."""

    status: int | None
    answered: int | None
    fault: StoreFault | None
    body: bytes = field(default=b"", repr=False)


class Listener:
    """Is called, in the proxy's thread, with every request as it arrives and as it ends; this one does nothing."""

    def arrived(self, number: int, request: Request) -> None:
        """Take a request before it has any effect."""

    def answered(self, number: int, request: Request, response: Response) -> None:
        """Take a request's response before it is sent."""


class StoreProxy:
    """A proxy before an S3 endpoint while the `with` block lasts; `url` is its own address.

    An external endpoint checks the Host that a signature covers: requests to it are signed again with `sign_as`.
    Requests that a defect alters are signed again with `keys`; without `keys` they keep the old signature.
    """

    def __init__(  # noqa: PLR0913 - each is optional
        self,
        target: str,
        fault: StoreFault | Sequence[StoreFault] | None = None,
        on_hold: Callable[[], None] | None = None,
        listener: Listener | None = None,
        sign_as: S3Endpoint | None = None,
        *,
        keys: S3Endpoint | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._target, self._sign_as, self._keys, self._clock = target, sign_as, sign_as or keys, clock
        self._script = Script(() if fault is None else (fault,) if isinstance(fault, StoreFault) else fault)
        self._on_hold = on_hold or (lambda: None)
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
        """Return one more address of it, by whose port the requests of one client are known."""
        return asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    async def _open(self) -> str:
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        return "http://{}:{}".format(*self._runner.addresses[-1][:2])

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        # Nothing is added that the client did not send: a store uses gzip if the request allows it.
        added = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
        async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=added) as self._session:
            await self._runner.setup()
            self.url = await self._open()
            self._ready.set()
            await self._stop.wait()
            await self._runner.cleanup()

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        body = await incoming.read()
        port = incoming.transport.get_extra_info("sockname")[1] if incoming.transport is not None else 0
        request = Request(incoming.method, incoming.path, dict(incoming.headers), incoming.query_string, body, port)
        self.requests.append(request)
        number = len(self.requests)
        self._listener.arrived(number, request)
        fault = self._fault(incoming)
        headers = self._headers(incoming)
        if fault is not None and fault.defect is not None:
            changed = altered(fault.defect, incoming.headers, body)
            if changed is None:
                return await self._faulty(incoming, number, request, Response(None, fault.answered_status, fault))
            headers, body = self._signed(incoming, changed.headers), changed.body
        elif fault is not None and fault.when == "before":
            return await self._faulty(incoming, number, request, Response(None, fault.answered_status, fault))
        async with self._session.request(
            incoming.method,
            URL(self._target + incoming.raw_path, encoded=True),
            headers=headers,
            data=body if len(body) < LARGE_BODY_BYTES else io.BytesIO(body),
        ) as answer:
            content = await answer.read()
        if fault is not None and fault.defect is None:
            return await self._faulty(
                incoming, number, request, Response(answer.status, fault.answered_status, fault, content)
            )
        self._listener.answered(number, request, Response(answer.status, answer.status, fault, content))
        passed_on = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        if incoming.method == "HEAD":
            passed_on["Content-Length"] = answer.headers.get("Content-Length", "0")
        return web.Response(status=answer.status, headers=passed_on, body=content)

    def _headers(self, request: web.Request) -> Mapping[str, str]:
        if self._sign_as is None:
            return request.headers
        return signed(request.method, self._target + request.raw_path, request.headers, self._sign_as)

    def _signed(self, request: web.Request, headers: dict[str, str]) -> Mapping[str, str]:
        if self._keys is None:
            return headers
        return signed(request.method, self._target + request.raw_path, headers, self._keys)

    def _fault(self, request: web.Request) -> StoreFault | None:
        """Count a request for every fault that it matches, and return the first that applies."""
        method, path, query = request.method, request.path, request.query_string
        return self._script.fire_first(lambda fault: fault.matches(method, path, query, request.headers))

    async def _faulty(
        self, incoming: web.Request, number: int, request: Request, response: Response
    ) -> web.StreamResponse:
        self._listener.answered(number, request, response)
        fault = response.fault
        assert fault is not None  # noqa: S101 - it is what this is about
        if fault.do in {"reset", "cut"}:
            return await self._broken(incoming, fault, response.body)
        if fault.do == "hang":
            self._on_hold()
            await asyncio.Event().wait()
        status, code, message = fault.response
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        skew_seconds = SKEW_SECONDS if fault.do == "clock-skew" else 0.0
        date = formatdate(self._clock() + skew_seconds, usegmt=True)
        return web.Response(status=status, text=text, content_type="application/xml", headers={"Date": date})

    async def _broken(self, incoming: web.Request, fault: StoreFault, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body) + 64)})
        if fault.do == "cut":
            await response.prepare(incoming)
            await response.write(body[: len(body) // 2] or b"<")
        if incoming.transport is not None:
            incoming.transport.close() if fault.do == "cut" else incoming.transport.abort()
        return response
