"""The progress of `cryo-ingest gateway`; the process itself is tested in `tests/end_to_end`."""

import asyncio
from typing import Any

from structlog.testing import capture_logs
from support.proving import settings_of
from support.virtual_time import VirtualClock

from cryo_ingest.gateway_command import PROGRESS_SECONDS, log_progress
from cryo_ingest.rpc.client import HttpChain
from cryo_ingest.rpc.endpoint import open_pool
from cryo_ingest.rpc.gateway import Gateway


def test_progress_is_logged_only_while_there_are_calls():
    """A gateway that is idle for weeks does not fill the log."""
    clock, settings = VirtualClock(), settings_of("http://127.0.0.1:9")
    received = [0, 5, 5, 5, 9]

    async def main() -> None:
        async with open_pool("local", settings=settings, chain=HttpChain(settings, clock), clock=clock) as pool:
            gateway = Gateway(pool, clock, str, standalone=True)
            progress = asyncio.create_task(log_progress(gateway, clock))
            for number in received:
                gateway.counters.calls_received = number
                await clock.sleep(PROGRESS_SECONDS)
            await clock.sleep(1)
            progress.cancel()

    with capture_logs() as logged:
        clock.run(main())
    events: list[Any] = [event["calls_received"] for event in logged if event["event"] == "gateway.progress"]
    assert events == [5, 9]
