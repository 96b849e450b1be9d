"""The health port: counts and readiness."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs
from support.virtual_time import VirtualClock

from cryo_ingest.errors import ConfigurationError
from cryo_ingest.serve.health import health_port
from cryo_ingest.serve.shutdown import Shutdown
from cryo_ingest.serve.status import Status


def get(change: Callable[[Status], None], path: str) -> tuple[int, Any]:
    """Return status and body of the response of a service in some state."""

    async def main() -> tuple[int, Any]:
        status = Status(Shutdown(24, VirtualClock()), queue_ok=True)
        change(status)
        with capture_logs() as logged:
            async with health_port(("127.0.0.1", 0), status), aiohttp.ClientSession() as session:
                (event,) = logged
                async with session.get(f"http://127.0.0.1:{event['port']}{path}") as response:
                    return response.status, await response.json()

    return asyncio.run(main())


def nothing(_: Status) -> None:
    """Change nothing."""


def set_to(**changes: bool | None) -> Callable[[Status], None]:
    def change(status: Status) -> None:
        for name, value in changes.items():
            setattr(status, name, value)

    return change


def drain(status: Status) -> None:
    status.shutdown.begin(signal.SIGTERM)


def test_healthz_has_the_counts():
    """`/healthz` answers 200 while the process runs."""
    assert get(lambda status: status.count("malformed"), "/healthz") == (200, {"counts": {"malformed": 1}})


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (nothing, []),
        (set_to(dispatcher_ok=True), []),
        (set_to(queue_ok=None), ["the queue has not answered yet"]),
        (set_to(queue_ok=False), ["the queue does not answer"]),
        (set_to(dispatcher_ok=False), ["the dispatcher rejects claims"]),
        (drain, ["draining"]),
    ],
)
def test_lse_5_readyz_answers_200_while_tasks_are_accepted(change: Callable[[Status], None], reasons: list[str]):
    """LSE-5: otherwise it answers 503 with the reasons."""
    assert get(change, "/readyz") == (503 if reasons else 200, {"ready": not reasons, "reasons": reasons})


def test_an_address_in_use_is_a_configuration_error():
    """Exit code 78: the message names the variable."""

    async def main() -> None:
        status = Status(Shutdown(24, VirtualClock()))
        with capture_logs() as logged:
            async with health_port(("127.0.0.1", 0), status):
                with pytest.raises(ConfigurationError, match="TRACE_HEALTH_ADDR"):
                    async with health_port(("127.0.0.1", logged[0]["port"]), status):
                        pass

    asyncio.run(main())
