"""`/metrics`: the service's counts in Prometheus's text format, collected when they are asked for.

No label has a URL or a value from outside: an endpoint is its position in its pool, and unknown methods are `other`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from cryo_ingest.meter import BUCKETS_SECONDS, MethodCounts
from cryo_ingest.rpc.methods import OTHER, key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from cryo_ingest.meter import RpcMeter
    from cryo_ingest.serve.status import Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "cryo_ingest"


@dataclass(frozen=True, slots=True, eq=False)  # the registry needs a hash
class ServiceCollector(Collector):
    """Reads the counts of the service; see `docs/reference.md` for the meaning of each metric."""

    status: Status
    meter: RpcMeter

    def collect(self) -> Iterator[Metric]:
        """Return all metrics."""
        yield from _rpc_metrics(self.meter)
        yield _by_label("gateway_bad_answers", "Answers that a check found bad.", "kind", self.meter.bad_answers())
        cured = self.meter.cured()
        yield _by_label("gateway_cured_answers", "Bad answers that were good when asked for again.", "kind", cured)
        status = self.status
        yield _by_label("attempts", "Attempts that have ended.", "outcome", status.outcomes)
        running = GaugeMetricFamily(f"{PREFIX}_attempts_running", "Attempts that are running.")
        running.add_metric([], status.counts["running"])
        yield running
        yield _plain("published_blocks", "Blocks in published versions that this service has written.", status.blocks)
        yield _plain("published_rows", "Rows in published versions that this service has written.", status.rows)
        proofs = "Published versions by the level at which all of their files were proved."
        yield _by_label("published_versions", proofs, "evidence", status.versions)


def render(status: Status, meter: RpcMeter) -> bytes:
    """Return the metrics as text."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(status, meter))
    return generate_latest(registry)


_COUNTERS = {
    "rpc_calls": ("calls", "Calls sent to endpoints, each one of a batch counted."),
    "rpc_retried_calls": ("retried_calls", "Calls sent again to the same endpoint because they got no answer."),
    "rpc_hedged_calls": ("hedged_calls", "Calls sent a second time while the first request was slow."),
    "rpc_rate_limited_requests": ("rate_limited_requests", "HTTP requests that an endpoint refused for their rate."),
    "rpc_received_bytes": ("received_bytes", "Bytes of response bodies, decompressed."),
}


def _rpc_metrics(meter: RpcMeter) -> Iterator[Metric]:
    counts = _by_position_and_method(meter)
    labels = ("method", "endpoint")
    for name, (attribute, text) in _COUNTERS.items():
        family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
        for key, of_method in counts.items():
            family.add_metric(key, getattr(of_method, attribute))
        yield family
    text = "Time from sending an HTTP request to its response, failure or timeout."
    histogram = HistogramMetricFamily(f"{PREFIX}_rpc_request_duration_seconds", text, labels=labels)
    bounds = [*map(str, BUCKETS_SECONDS), "+Inf"]
    for key, of_method in counts.items():
        cumulative = list(zip(bounds, accumulate(of_method.buckets), strict=True))
        histogram.add_metric(key, cumulative, of_method.seconds)
    yield histogram


def _by_position_and_method(meter: RpcMeter) -> dict[tuple[str, str], MethodCounts]:
    """Return the counts by the values of the labels: equal positions of different pools are added up."""
    found: dict[tuple[str, str], MethodCounts] = {}
    for name, endpoint in list(meter.endpoints.items()):
        position = re.fullmatch(r"endpoint (\d+) of \d+( in \w+)?", name)
        for method, counts in list(endpoint.methods.items()):
            key = (key_of(method), position[1] if position else OTHER)
            _add(found.setdefault(key, MethodCounts()), counts)
    return found


def _add(total: MethodCounts, counts: MethodCounts) -> None:
    for attribute, _ in _COUNTERS.values():
        setattr(total, attribute, getattr(total, attribute) + getattr(counts, attribute))
    total.seconds += counts.seconds
    total.buckets = [sum(pair) for pair in zip(total.buckets, counts.buckets, strict=True)]


def _by_label(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=(label,))
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family


def _plain(name: str, text: str, value: int) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", text)
    family.add_metric([], value)
    return family
