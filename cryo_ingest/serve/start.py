"""`cryo-ingest worker`: creates the service from its settings and runs it."""

from __future__ import annotations

import asyncio
import socket
import uuid
from importlib import metadata
from typing import TYPE_CHECKING

from cryo_ingest import logs
from cryo_ingest.backoff import Backoff
from cryo_ingest.clock import SystemClock
from cryo_ingest.errors import ConfigurationError
from cryo_ingest.logs import log
from cryo_ingest.publish.stores import open_store
from cryo_ingest.redact import Redactor
from cryo_ingest.serve.attempt_runner import AttemptRunner
from cryo_ingest.serve.consumer import Consumer
from cryo_ingest.serve.dispatcher import HttpDispatcher, open_session
from cryo_ingest.serve.health import health_port
from cryo_ingest.serve.queue import open_queue, poll_seconds
from cryo_ingest.serve.service import Service
from cryo_ingest.serve.shutdown import Shutdown
from cryo_ingest.serve.status import Status
from cryo_ingest.signals import on_first_signal
from cryo_ingest.wiring import make_ports

if TYPE_CHECKING:
    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.serve.ports import WakeupQueue
    from cryo_ingest.serve.settings import ServiceSettings
    from cryo_ingest.settings import Settings

MAX_PAUSE_SECONDS = 60.0
"""Between two claims while the dispatcher is down, so that a wake-up is delivered at most once a minute."""


def serve(settings: Settings, service: ServiceSettings) -> int:
    """Run the service until a signal; return 0 after a clean drain, otherwise 128 plus the signal's number.

    Raises:
        ConfigurationError: the bucket's name is invalid, boto3 is missing, or the health port is in use.
    """
    redactor = Redactor([*settings.secrets(), service.worker_token])
    logs.configure(settings.log_format, redactor)
    try:
        store = open_store(f"s3://{service.bucket}", settings.s3)
    except ValueError:
        raise ConfigurationError({"S3_BUCKET": "must be the name of a bucket"}) from None
    return asyncio.run(_serve(settings, service, store=store, redactor=redactor))


def make_consumer(queue: WakeupQueue, runner: AttemptRunner, *, poll_seconds: int) -> Consumer:
    """Make a consumer of wake-ups that runs one attempt at a time with `runner`."""
    backoff, machine_backoff = (Backoff(runner.random, longest_seconds=MAX_PAUSE_SECONDS) for _ in range(2))
    return Consumer(
        queue,
        runner.dispatcher,
        runner,
        runner.shutdown,
        runner.status,
        runner.clock,
        backoff,
        machine_backoff,
        poll_seconds,
    )


async def _serve(settings: Settings, service: ServiceSettings, *, store: ObjectStore, redactor: Redactor) -> int:
    clock = SystemClock()
    shutdown = Shutdown(service.shutdown_grace_seconds, clock)
    on_first_signal(shutdown.begin)
    status = Status(shutdown)
    ports = make_ports(settings, store, redactor=redactor)
    worker_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    queue = await open_queue(service, settings.s3)
    proxy = settings.proxies.for_url(service.dispatcher_url)
    async with health_port(service.health, status, ports.chain.meter), open_session(proxy) as session:
        dispatcher = HttpDispatcher(
            session, service.dispatcher_url, worker_token=service.worker_token, worker_id=worker_id, clock=clock
        )
        runner = AttemptRunner(dispatcher, ports, settings, shutdown, clock, ports.random, redactor, status)
        poll = poll_seconds(service.shutdown_grace_seconds)
        consumers = [make_consumer(queue, runner, poll_seconds=poll) for _ in range(service.concurrency)]
        log.info(
            "service.started",
            worker_id=worker_id,
            version=metadata.version("cryo-ingest"),
            mode=settings.mode,
            concurrency=service.concurrency,
        )
        clean = await Service(consumers, ports.staging, shutdown, clock).run()
        log.info("service.stopped", clean=clean, **status.counts)
    queue.close()
    return 0 if clean or shutdown.signal is None else 128 + shutdown.signal
