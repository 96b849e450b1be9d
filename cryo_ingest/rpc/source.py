"""Where Cryo reads from: nothing in fake mode, the gateway, or the pool's endpoint itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING

from cryo_ingest.errors import IngestError, first_exception_of
from cryo_ingest.rpc.answer_checks import BLOCK
from cryo_ingest.rpc.evidence import Evidence
from cryo_ingest.rpc.gateway import Gateway, serve_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from cryo_ingest.datasets import Dataset
    from cryo_ingest.model import Task
    from cryo_ingest.ports import Ports
    from cryo_ingest.rpc.pool import Pool
    from cryo_ingest.settings import Settings


@contextmanager
def collect_evidence(task: Task, settings: Settings, directory: Path) -> Iterator[Evidence | None]:
    """Provide the evidence of an attempt, which spills into `directory`; None without a gateway."""
    if not settings.uses_gateway:
        yield None
        return
    with closing(Evidence.of_range(range(task.range_start, task.range_end), directory)) as evidence:
        yield evidence


@asynccontextmanager
async def open_source(
    pool: Pool,
    dataset: Dataset,
    evidence: Evidence | None,
    *,
    settings: Settings,
    ports: Ports,
) -> AsyncIterator[str | None]:
    """Provide the URL that Cryo gets; an error that ends the attempt cancels the block and is raised from it.

    Raises:
        IngestError: no endpoint is suitable; or later, no endpoint answers, or none gives a usable answer.
    """
    if settings.mode == "fake":
        yield None
        return
    await pool.choose()
    if not settings.uses_gateway:
        yield pool.url
        return
    asks_for_headers = BLOCK in dataset.methods
    # Headers that Cryo asks for anyway cost nothing, so its other answers are checked with them at each level.
    with_headers = asks_for_headers or dataset.attainable(settings.proof_level) != "rows"
    gateway = Gateway(
        pool,
        ports.clock,
        ports.redact,
        evidence,
        with_headers=with_headers,
        cryo_asks_for_headers=asks_for_headers,
        random=ports.random,
    )
    failure: BaseException | None = None
    try:
        async with serve_gateway(gateway), asyncio.TaskGroup() as group:
            watching = group.create_task(_wait(gateway.failed))
            yield gateway.url
            watching.cancel()
    except* IngestError as errors:
        failure = first_exception_of(errors, IngestError)
    if failure is not None:
        raise failure


async def _wait(failed: asyncio.Future[None]) -> None:
    await asyncio.shield(failed)
