"""An optional HTTP port: `/healthz` while the worker runs, `/readyz` while it accepts tasks, and `/metrics`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from cryo_ingest.errors import ConfigurationError
from cryo_ingest.logs import log
from cryo_ingest.meter import RpcMeter
from cryo_ingest.serve.metrics import CONTENT_TYPE, render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cryo_ingest.serve.status import Status

READY, NOT_READY = 200, 503


@asynccontextmanager
async def health_port(
    address: tuple[str, int] | None, status: Status, meter: RpcMeter | None = None
) -> AsyncIterator[None]:
    """Serve health checks and metrics until the block ends; without an address do nothing.

    Raises:
        ConfigurationError: the address can't be used.
    """
    if address is None:
        yield
        return

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"counts": dict(status.counts)})

    async def readyz(_: web.Request) -> web.Response:
        reasons = status.reasons_not_ready()
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=NOT_READY if reasons else READY)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=render(status, meter or RpcMeter()), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, *address).start()
        except OSError as error:
            problem = f"can't be listened on ({error.strerror or type(error).__name__})"
            raise ConfigurationError({"TRACE_HEALTH_ADDR": problem}) from None
        log.info("health.listening", port=runner.addresses[0][1])
        yield
    finally:
        await runner.cleanup()
