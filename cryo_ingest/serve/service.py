"""Runs the consumers of the service and its background tasks until it has drained."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

from cryo_ingest.logs import log
from cryo_ingest.serve.shutdown import DrainTimedOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryo_ingest.ports import Clock, Staging
    from cryo_ingest.serve.consumer import Consumer
    from cryo_ingest.serve.shutdown import Shutdown

SWEEP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Service:
    """The consumers and background tasks of a worker."""

    consumers: Sequence[Consumer]
    staging: Staging
    shutdown: Shutdown
    clock: Clock

    async def run(self) -> bool:
        """Run until drained; return whether every attempt was finished or handed back in time."""
        with suppress(DrainTimedOut):
            await self._run_all()
            return True
        return False

    async def _run_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(self._sweep()), group.create_task(self.shutdown.enforce())]
                async with asyncio.TaskGroup() as consumers:
                    for consumer in self.consumers:
                        consumers.create_task(consumer.run())
                for task in background:
                    task.cancel()
        except* DrainTimedOut:
            timed_out = True
        else:
            timed_out = False
        if timed_out:
            raise DrainTimedOut

    async def _sweep(self) -> Never:
        """Delete old directories of dead attempts, now and every hour (STG-4, STG-8)."""
        while True:
            try:
                await self.staging.sweep()
            except OSError as error:
                log.warning("staging.sweep_failed", reason=error.strerror)
            await self.clock.sleep(SWEEP_SECONDS)
