"""The dispatcher over HTTP: a context manager that serves on 127.0.0.1 in its own thread.

with DispatcherServer(Dispatcher(queue=queue)) as server:
    task_id = server.dispatcher.add_task(payload)
    start_worker(DISPATCHER_URL=server.url, TRACE_WORKER_TOKEN=server.worker_token)
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Self

from aiohttp import web

from harness.fakes.dispatcher.dispatcher import Dispatcher
from harness.fakes.dispatcher.wire import MAX_BODY_BYTES, DispatcherRequest, Exchange
from harness.faults import DispatcherFault

LOOPBACK = "127.0.0.1"
TASKS = "/harness/tasks"
LOG = logging.getLogger(__name__)
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: closing the socket sends RST."""
RESEND_SECONDS = 1.0
TICK_SECONDS = 0.02
"""The interval at which due changes are applied; a lease or a backoff can end this much late."""


class DispatcherServer:
    """One dispatcher on one port, on several addresses if containers must reach it. It can be started only once."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        faults: Iterable[DispatcherFault] = (),
        *,
        port: int = 0,
        addresses: Iterable[str] = (LOOPBACK,),
        accept_tasks: bool = False,
    ) -> None:
        """Prepare a server.

        Args:
            dispatcher: the state machine to serve.
            faults: faults to add to its script.
            port: the same on every address; 0 picks a free one.
            addresses: the addresses to listen on.
            accept_tasks: whether a POST of a payload to `/harness/tasks` adds a task. False when a worker is judged,
                since a request of the worker there would be a violation.
        """
        self.dispatcher = dispatcher
        dispatcher.add_faults(*faults)
        self._port, self._addresses = port, tuple(addresses)
        self._accept_tasks = accept_tasks
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failed: list[OSError] = []
        self._thread = threading.Thread(target=self._run, name="harness-dispatcher", daemon=True)

    @property
    def url(self) -> str:
        """DISPATCHER_URL for a worker on this machine."""
        return f"http://{self._addresses[0]}:{self._port}"

    @property
    def worker_token(self) -> str:
        """TRACE_WORKER_TOKEN."""
        return self.dispatcher.worker_token

    @property
    def journal(self) -> list[Exchange]:
        """Every request so far, with its answer."""
        return list(self.dispatcher.journal)

    def on_request(self, listener: Callable[[DispatcherRequest], None]) -> None:
        """Register a function that the server's thread calls with every request before it has any effect."""
        self.dispatcher.on_request(listener)

    def environment(self) -> dict[str, str]:
        """Return the platform's variables that make a worker use this dispatcher."""
        return {"DISPATCHER_URL": self.url, "TRACE_WORKER_TOKEN": self.worker_token}

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failed:
            self._thread.join()
            raise self._failed[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        application = web.Application()
        if self._accept_tasks:
            application.router.add_post(TASKS, self._add_task)
            application.router.add_get(TASKS, self._list_tasks)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        try:
            await runner.setup()
            for address in self._addresses:
                await web.TCPSite(runner, address, self._port).start()
                self._port = runner.addresses[0][1]
        except OSError as error:
            self._failed.append(error)
        self._ready.set()
        if not self._failed:
            ticking = asyncio.create_task(self._tick())
            await self._stop.wait()
            ticking.cancel()
        await runner.cleanup()

    async def _tick(self) -> None:
        while True:
            due = self.dispatcher.next_due()
            if due is not None and due <= self.dispatcher.clock.time():
                try:
                    await asyncio.to_thread(self.dispatcher.tick)
                except Exception as error:  # noqa: BLE001 - no error of the queue's client may stop the ticks
                    LOG.warning("the queue took no wake-up; it will be sent again: %s", type(error).__name__)
                    await asyncio.sleep(RESEND_SECONDS)
            await asyncio.sleep(TICK_SECONDS)

    async def _add_task(self, request: web.Request) -> web.Response:
        try:
            payload = json.loads(await request.read())
        except ValueError:
            payload = None
        if not isinstance(payload, dict):
            return web.json_response({"error": "the payload must be a JSON object"}, status=400)
        task_id = await asyncio.to_thread(self.dispatcher.add_task, payload)
        return web.json_response({"task_id": task_id}, status=201)

    async def _list_tasks(self, _request: web.Request) -> web.Response:
        return web.json_response([task.as_json() for task in self.dispatcher.tasks])

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        # Two headers of one name are joined, so that neither value counts as the token.
        headers = {name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers}
        received = DispatcherRequest(request.method, request.raw_path, headers, await _body(request))
        # In a thread, because sending a wake-up blocks.
        delivery = await asyncio.to_thread(self.dispatcher.handle, received)
        await asyncio.sleep(delivery.delay_seconds)
        if delivery.action == "hang":
            await asyncio.Event().wait()
        if delivery.action == "reset" and request.transport is not None:
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            request.transport.abort()
        date = formatdate(delivery.answer.date, usegmt=True)
        return web.json_response(dict(delivery.answer.body), status=delivery.answer.status, headers={"Date": date})


async def _body(request: web.Request) -> bytes:
    """Read a body, but stop once it is too large."""
    body = b""
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            break
    return body
