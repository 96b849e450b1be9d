"""What only the service reads of the environment; every bad variable, an attempt's own too, is named at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.settings import Reader, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryo_ingest.settings import Settings

MAX_CONCURRENCY = 64
"""Each attempt is a Cryo process and two threads; a machine that bears more is not known."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where tasks come from and how many run at once; see docs/reference.md."""

    dispatcher_url: str
    worker_token: str = field(repr=False)
    queue_url: str
    bucket: str
    sqs_endpoint: str | None = None
    concurrency: int = 1
    shutdown_grace_seconds: float = 25.0
    health: tuple[str, int] | None = None


def service_from_environment(environment: Mapping[str, str]) -> tuple[Settings, ServiceSettings]:
    """Check the environment of a service and return an attempt's settings and the service's own.

    Raises:
        ConfigurationError: some variables can't be used; it names every one of them.
    """
    reader = Reader(environment)
    settings = read_settings(reader)
    service = ServiceSettings(
        dispatcher_url=reader.required("DISPATCHER_URL", reader.http_url("DISPATCHER_URL")),
        worker_token=reader.required("TRACE_WORKER_TOKEN", reader.token("TRACE_WORKER_TOKEN")),
        queue_url=reader.required("TASK_WAKEUP_QUEUE", reader.http_url("TASK_WAKEUP_QUEUE")),
        bucket=reader.required("S3_BUCKET", settings.s3.bucket),
        sqs_endpoint=reader.plain_url("SQS_ENDPOINT"),
        concurrency=reader.count("TRACE_WORKER_CONCURRENCY", default=1),
        shutdown_grace_seconds=reader.seconds("TRACE_SHUTDOWN_GRACE_SECONDS", default=25.0),
        health=reader.address("TRACE_HEALTH_ADDR"),
    )
    if "@" in service.dispatcher_url:
        reader.problems["DISPATCHER_URL"] = "must hold no credentials: the worker's token goes into TRACE_WORKER_TOKEN"
    if service.concurrency > MAX_CONCURRENCY:
        reader.problems["TRACE_WORKER_CONCURRENCY"] = f"must be at most {MAX_CONCURRENCY}"
    reader.raise_if_bad()
    return settings, service
