"""The wire: JSON-RPC over HTTP on loopback, any path and any credentials accepted, batches, keep-alive, a journal.

`RpcPool` runs it in a thread of this process, for tests; `serve` in the foreground, for the command line.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from harness.fakes.rpc.faults import Call, Fault, FaultScript
from harness.fakes.rpc.methods import Node, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOPBACK = "127.0.0.1"
LARGEST_REQUEST_BYTES = 16 * 1024**2
PARSE_ERROR = -32700


class Endpoint:
    """One node on the wire, with its faults and its journal."""

    def __init__(self, node: Node, faults: Sequence[Fault] = ()) -> None:
        self.node = node
        self.journal: list[Call] = []
        self.listeners: list[Callable[[Call], None]] = []
        self._script = FaultScript(faults)

    def application(self) -> web.Application:
        """Return the HTTP application; every path is the same endpoint, as keys in paths are anyone's choice."""
        application = web.Application(client_max_size=LARGEST_REQUEST_BYTES)
        application.router.add_post("/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            content = json.loads(await request.read())
        except ValueError:
            return _json({"jsonrpc": "2.0", "id": None, "error": {"code": PARSE_ERROR, "message": "parse error"}})
        calls = content if isinstance(content, list) else [content]
        answers = []
        for call in calls:
            fault = self._script.firing(call["method"], call.get("params", []))
            self._note(Call(call["method"], call.get("params", []), fault))
            if fault and fault.kind == "hang":
                await asyncio.Event().wait()
            if fault and fault.kind == "status":
                return web.Response(status=fault.status, text=fault.message)
            answers.append(self._answer(call, fault))
        return _json(answers if isinstance(content, list) else answers[0])

    def _note(self, call: Call) -> None:
        self.journal.append(call)
        for listener in self.listeners:
            listener(call)

    def _answer(self, call: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call.get("id")}
        if fault is not None:
            return answer | {"error": {"code": fault.status, "message": fault.message}}
        try:
            return answer | {"result": self.node.answer(call["method"], call.get("params", []))}
        except RpcError as error:
            return answer | {"error": {"code": error.code, "message": str(error)}}


class RpcPool:
    """An endpoint served from a thread while the `with` block lasts; `url` is its address on loopback."""

    def __init__(self, node: Node, faults: Sequence[Fault] = ()) -> None:
        self._endpoint = Endpoint(node, faults)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="rpc-pool", daemon=True)
        self._stop: asyncio.Event | None = None
        self.url = ""

    @property
    def journal(self) -> list[Call]:
        """Every call so far, in the order of arrival."""
        return list(self._endpoint.journal)

    def calls(self, method: str) -> int:
        """Count the calls of one method so far."""
        return sum(call.method == method for call in self.journal)

    def on_call(self, listener: Callable[[Call], None]) -> None:
        """Have a function called, in the serving thread, with every call as it arrives."""
        self._endpoint.listeners.append(listener)

    def on_fault(self, listener: Callable[[], None]) -> None:
        """Have a function called when a fault fires, or at once where one has fired already."""
        self.on_call(lambda call: listener() if call.fault else None)
        if any(call.fault for call in self.journal):
            listener()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        runner = await started(self._endpoint, port=0)
        self.url = address(runner)
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()


async def started(endpoint: Endpoint, *, port: int) -> web.AppRunner:
    """Start serving on loopback; port 0 picks a free one."""
    runner = web.AppRunner(endpoint.application(), access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    return runner


def address(runner: web.AppRunner) -> str:
    """Return the URL of what was started."""
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


async def serve(endpoint: Endpoint, *, port: int) -> None:
    """Serve until SIGTERM or SIGINT; the URL is the first line on standard output."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = await started(endpoint, port=port)
    print(address(runner), flush=True)  # noqa: T201 - the command's product
    await stop.wait()
    await runner.cleanup()


def _json(content: object) -> web.Response:
    return web.Response(body=json.dumps(content, separators=(",", ":")).encode(), content_type="application/json")
