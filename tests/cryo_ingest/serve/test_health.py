"""The health port: counts, readiness and metrics."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from support.proving import JumpingClock, settings_of
from support.virtual_time import VirtualClock

from cryo_ingest.attempt import Failure, Success, Written
from cryo_ingest.errors import ConfigurationError, NodeUnavailable
from cryo_ingest.meter import RpcMeter
from cryo_ingest.model import Publication, StorageRef
from cryo_ingest.ports import Call
from cryo_ingest.rpc.client import HttpChain
from cryo_ingest.rpc.counters import GatewayCounters
from cryo_ingest.serve.health import health_port
from cryo_ingest.serve.shutdown import Shutdown
from cryo_ingest.serve.status import Status
from harness.fakes.rpc import Node, RpcPool
from harness.faults import rpc as do
from harness.world.chain import Chain


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


def scrape(status: Status, meter: RpcMeter) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples of `/metrics` by name and labels."""

    async def main() -> str:
        with capture_logs() as logged:
            async with health_port(("127.0.0.1", 0), status, meter), aiohttp.ClientSession() as session:
                (event,) = logged
                async with session.get(f"http://127.0.0.1:{event['port']}/metrics") as response:
                    assert response.content_type == "text/plain"
                    return await response.text()

    families = text_string_to_metric_families(asyncio.run(main()))
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


def test_metrics_count_the_traffic_of_all_attempts_by_method_and_position():
    """Two attempts on one pool are one series, and an attempt's calls, bytes and times are in it."""
    meter, clock = RpcMeter(), JumpingClock()

    async def attempt(url: str) -> None:
        chain = HttpChain(settings_of(url), clock, meter)
        async with chain.open(url, name="endpoint 1 of 2", deadline=clock.now + 3600) as node:
            await node.request([Call("eth_getBlockByNumber", (hex(block), False)) for block in range(20)])

    limited = do.Status(429, method="eth_getBlockByNumber", nth=1, times=1)
    with RpcPool(Node(Chain(1), head=10_000), [limited]) as pool:
        for _ in range(2):
            asyncio.run(attempt(pool.url))
        sent = len(pool.journal)
    samples = scrape(Status(Shutdown(24, clock)), meter)
    labels = (("endpoint", "1"), ("method", "eth_getBlockByNumber"))
    assert samples["cryo_ingest_rpc_calls_total", labels] == sent
    assert samples["cryo_ingest_rpc_retried_calls_total", labels] == sent - 40
    assert samples["cryo_ingest_rpc_rate_limited_requests_total", labels] == 1
    assert samples["cryo_ingest_rpc_received_bytes_total", labels] > 40 * 100
    requests = samples["cryo_ingest_rpc_request_duration_seconds_count", labels]
    all_buckets = (labels[0], ("le", "+Inf"), labels[1])
    assert samples["cryo_ingest_rpc_request_duration_seconds_bucket", all_buckets] == requests
    assert requests >= 3


def test_metrics_have_the_answers_of_running_and_closed_gateways():
    """A counter never goes back when an attempt ends."""
    meter, status = RpcMeter(), Status(Shutdown(24, VirtualClock()))
    bad = ("cryo_ingest_gateway_bad_answers_total", (("kind", "missing-logs"),))
    with meter.including(GatewayCounters(bad_answers=Counter({"missing-logs": 2}))):
        assert scrape(status, meter)[bad] == 2
    with meter.including(GatewayCounters(bad_answers=Counter({"missing-logs": 1}))):
        assert scrape(status, meter)[bad] == 3
    assert scrape(status, meter)[bad] == 3


def test_metrics_count_outcomes_and_what_was_published():
    """Blocks, rows and levels are those of versions that this service has written, not of those that were there."""
    status = Status(Shutdown(24, VirtualClock()))
    publication = Publication(
        dataset_uuid="0f8fad5b-d9cb-469f-a165-70867728950e",
        dataset_version="6e484f2c-567a-44f3-8a5e-c0650b2a169f",
        storage_ref=StorageRef("file", None, "/x/"),
        config_hash="h1",
        range_start=100,
        range_end=350,
    )
    for success in (Success(publication, Written(1234, "chain")), Success(publication)):
        status.record_outcome(success)
        status.record_published(success)
    status.record_outcome(Failure(NodeUnavailable(endpoint_name="it", method="eth_chainId", reason="no answer")))
    samples = scrape(status, RpcMeter())
    assert samples["cryo_ingest_attempts_total", (("outcome", "success"),)] == 2
    assert samples["cryo_ingest_attempts_total", (("outcome", "retryable_error"),)] == 1
    assert samples["cryo_ingest_attempts_running", ()] == 0
    assert samples["cryo_ingest_published_blocks_total", ()] == 250
    assert samples["cryo_ingest_published_rows_total", ()] == 1234
    assert samples["cryo_ingest_published_versions_total", (("evidence", "chain"),)] == 1


def test_sec_1_labels_of_metrics_are_bounded_and_have_no_url():
    """SEC-1: a method that nobody knows is `other`, and so is an endpoint that is not a position."""
    meter = RpcMeter()
    for method in ("eth_getSecret", "eth_other", "trace_block"):
        meter.endpoint("http://node.example/k3y").of(method).calls += 1
        meter.endpoint("endpoint 2 of 3").of(method).calls += 1
    samples = scrape(Status(Shutdown(24, VirtualClock())), meter)
    calls = {labels: value for (name, labels), value in samples.items() if name == "cryo_ingest_rpc_calls_total"}
    assert calls == {
        (("endpoint", endpoint), ("method", method)): count
        for endpoint in ("other", "2")
        for method, count in (("other", 2), ("trace_block", 1))
    }


def test_a_run_without_a_service_does_not_import_the_metrics_library():
    """`cryo-ingest run` starts fast: only the service needs the library."""
    program = "import sys, cryo_ingest.cli, cryo_ingest.run; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
