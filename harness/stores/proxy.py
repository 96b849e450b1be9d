"""A store proxy that forwards every request untouched, signature and Host included, and can hold one for a test.

Holding a request before or after its effect is how a worker is caught at an exact point of its upload.
"""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

import aiohttp
from aiohttp import web
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOOPBACK = "127.0.0.1"
LARGEST_BODY_BYTES = 6 * 1024**3
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True, slots=True)
class Spoil:
    """What to do to the `nth` request whose method and path match, and to all later ones where it is `lasting`.

    Without a `status` it is held for ever, else answered with it and S3's error `code`; `when` says whether the store
    sees the request first (`after` its effect) or never (`before`).
    """

    method: str
    path: str
    when: Literal["before", "after"]
    status: int | None = None
    nth: int = 1
    code: str = "InternalError"
    lasting: bool = False

    def matches(self, request: web.Request) -> bool:
        """Tell whether a request is one that this is about."""
        return request.method == self.method and re.search(self.path, request.path) is not None


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)


class StoreProxy:
    """Stands before an S3 endpoint while the `with` block lasts; `url` is its own address."""

    def __init__(self, target: str, spoil: Spoil | None = None, on_hold: Callable[[], None] | None = None) -> None:
        self._target = target
        self._spoil = spoil
        self._on_hold = on_hold or (lambda: None)
        self._matched = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="store-proxy", daemon=True)
        self.requests: list[Seen] = []
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        application = web.Application(client_max_size=LARGEST_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, 0).start()
            self.url = "http://{}:{}".format(*runner.addresses[0][:2])
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        self.requests.append(Seen(request.method, request.path, dict(request.headers)))
        body = await request.read()
        spoil = self._spoil if self._spoil and self._spoil.matches(request) else None
        if spoil is not None:
            self._matched += 1
        due = spoil is not None and (self._matched == spoil.nth or (spoil.lasting and self._matched > spoil.nth))
        firing = spoil if due else None
        if firing is not None and firing.when == "before":
            return await self._spoiled(firing)
        async with self._session.request(
            request.method,
            URL(self._target + request.raw_path, encoded=True),
            headers=request.headers,
            data=body,
        ) as answer:
            content = await answer.read()
        if firing is not None:
            return await self._spoiled(firing)
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        if request.method == "HEAD":
            headers["Content-Length"] = answer.headers.get("Content-Length", "0")
        return web.Response(status=answer.status, headers=headers, body=content)

    async def _spoiled(self, spoil: Spoil) -> web.Response:
        if spoil.status is None:
            self._on_hold()
            await asyncio.Event().wait()
        text = f"<Error><Code>{spoil.code}</Code><Message>spoiled by script</Message></Error>"
        return web.Response(status=spoil.status or 500, text=text, content_type="application/xml")
