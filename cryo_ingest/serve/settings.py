"""Reads the service's settings from the environment; an error names all invalid variables, also an attempt's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.settings import ADDRESS, ANY_TEXT, COUNT, HTTP_URL, PLAIN_URL, SECONDS, TOKEN, Reader, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryo_ingest.settings import Settings

MAX_CONCURRENCY = 64
"""Each attempt is a Cryo process and two threads; more have not been tested."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The source of tasks and the number of concurrent attempts; see docs/reference.md."""

    dispatcher_url: str
    worker_token: str = field(repr=False)
    queue_url: str
    bucket: str
    sqs_endpoint: str | None = None
    concurrency: int = 1
    shutdown_grace_seconds: float = 25.0
    health: tuple[str, int] | None = None


def service_from_environment(environment: Mapping[str, str]) -> tuple[Settings, ServiceSettings]:
    """Check the environment of a service and return the settings of attempts and of the service.

    Raises:
        ConfigurationError: some variables are invalid; it names all of them.
    """
    reader = Reader(environment)
    settings = read_settings(reader)
    service = ServiceSettings(
        dispatcher_url=reader.read_required("DISPATCHER_URL", HTTP_URL),
        worker_token=reader.read_required("TRACE_WORKER_TOKEN", TOKEN),
        queue_url=reader.read_required("TASK_WAKEUP_QUEUE", HTTP_URL),
        bucket=reader.read_required("S3_BUCKET", ANY_TEXT),
        sqs_endpoint=reader.read("SQS_ENDPOINT", PLAIN_URL, default=None),
        concurrency=reader.read("TRACE_WORKER_CONCURRENCY", COUNT, default=1),
        shutdown_grace_seconds=reader.read("TRACE_SHUTDOWN_GRACE_SECONDS", SECONDS, default=25.0),
        health=reader.read("TRACE_HEALTH_ADDR", ADDRESS, default=None),
    )
    if "@" in service.dispatcher_url:
        reader.problems["DISPATCHER_URL"] = (
            "must not contain credentials: the worker's token belongs in TRACE_WORKER_TOKEN"
        )
    if service.concurrency > MAX_CONCURRENCY:
        reader.problems["TRACE_WORKER_CONCURRENCY"] = f"must be at most {MAX_CONCURRENCY}"
    reader.raise_if_bad()
    return settings, service
