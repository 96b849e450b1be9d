"""`cryo-ingest gateway`: runs the gateway alone, for plain Cryo or any other reader of a node, until a signal."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from cryo_ingest import logs
from cryo_ingest.clock import SystemClock
from cryo_ingest.errors import ConfigurationError, MachineFailed
from cryo_ingest.logs import log
from cryo_ingest.redact import Redactor
from cryo_ingest.rpc.client import CALLS_IN_FLIGHT, HttpChain
from cryo_ingest.rpc.endpoint import open_pool
from cryo_ingest.rpc.gateway import Gateway, serve_gateway
from cryo_ingest.rpc.listener import allow_connections
from cryo_ingest.signals import on_first_signal

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator

    from cryo_ingest.ports import Clock
    from cryo_ingest.settings import Settings

PROGRESS_SECONDS = 30.0


def run_gateway(pool_name: str, *, port: int, settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT and return 0; after a signal before the URL is printed, 128 plus its number.

    Raises:
        IngestError: no endpoint of the pool is suitable, the port can't be used, or the URL can't be printed.
    """
    redactor = Redactor(settings.secrets())
    logs.configure(settings.log_format, redactor)
    return asyncio.run(_run(pool_name, port=port, settings=settings, redactor=redactor))


async def _run(pool_name: str, *, port: int, settings: Settings, redactor: Redactor) -> int:
    clock, stop = SystemClock(), asyncio.Event()
    received: list[signal.Signals] = []
    starting = asyncio.current_task()

    def react(number: signal.Signals) -> None:
        received.append(number)
        stop.set()
        if starting is not None and not is_serving:
            starting.cancel()

    is_serving = False
    on_first_signal(react)
    allow_connections(settings.max_concurrent_requests or CALLS_IN_FLIGHT)
    try:
        async with open_pool(pool_name, settings=settings, chain=HttpChain(settings, clock), clock=clock) as pool:
            await pool.choose()
            gateway = Gateway(pool, clock, redactor, standalone=True)
            async with _serve_on(gateway, port):
                is_serving = True
                _print_url(gateway.url)
                progress = asyncio.create_task(log_progress(gateway, clock))
                await stop.wait()
                progress.cancel()
            _print_summary(gateway)
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
    return 0


@asynccontextmanager
async def _serve_on(gateway: Gateway, port: int) -> AsyncIterator[None]:
    """Serve the gateway; a port that can't be used is reported under the option's name."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(serve_gateway(gateway, port=port))
        except OSError as error:
            problem = f"can't be listened on ({error.strerror or type(error).__name__})"
            raise ConfigurationError({"--port": problem}) from None
        yield


async def log_progress(gateway: Gateway, clock: Clock) -> None:
    """Log the counters every 30 s in which there were calls, until the task is cancelled."""
    logged = 0
    while True:
        await clock.sleep(PROGRESS_SECONDS)
        received = gateway.counters.calls_received
        if received != logged:
            log.info("gateway.progress", endpoint=gateway.pool.name, **gateway.summary())
            logged = received


def _print_url(url: str) -> None:
    try:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise MachineFailed(reason=error.strerror or type(error).__name__) from None


def _print_summary(gateway: Gateway) -> None:
    """Print what the gateway did in a few words; only on a terminal, since the log has the counters."""
    if not sys.stderr.isatty():
        return
    counters = gateway.counters
    bad, cured = counters.bad_answers.total(), counters.cured.total()
    with suppress(OSError):
        sys.stderr.write(
            f"{counters.calls_received:,} calls received, {gateway.pool.billed_calls:,} sent to the pool; "
            f"{bad:,} bad answers, of which {cured:,} were good when asked again\n"
        )
