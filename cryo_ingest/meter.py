"""Counts of one process's RPC traffic over all attempts, for the metrics: plain numbers, cheap to increment.

`serve.metrics` reads them when they are asked for; nothing here knows the format of the metrics.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the histogram of response times; slower ones are in a last bucket without a bound."""


@dataclass(slots=True)
class MethodCounts:
    """What was sent of one method to the endpoints at one position of a pool; the calls of a batch count singly."""

    calls: int = 0
    retried_calls: int = 0
    hedged_calls: int = 0
    rate_limited_requests: int = 0
    received_bytes: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_SECONDS) + 1))

    def observe(self, seconds: float) -> None:
        """Record the time from sending an HTTP request to its response, its failure or its timeout."""
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS_SECONDS, seconds)] += 1


@dataclass(frozen=True, slots=True)
class EndpointMeter:
    """The counts of one endpoint by method."""

    methods: dict[str, MethodCounts] = field(default_factory=dict)

    def of(self, method: str) -> MethodCounts:
        """Return the counts of a method."""
        counts = self.methods.get(method)
        if counts is None:
            counts = self.methods[method] = MethodCounts()
        return counts


class AnswerCounts(Protocol):
    """Counts of one gateway by kind of problem."""

    bad_answers: Counter[str]
    cured: Counter[str]


@dataclass(slots=True)
class RpcMeter:
    """The counts of all endpoints, by position in their pool (`endpoint 1 of 2`), and of all gateways."""

    endpoints: dict[str, EndpointMeter] = field(default_factory=dict)
    _open: list[AnswerCounts] = field(default_factory=list)
    _bad_answers: Counter[str] = field(default_factory=Counter)
    _cured: Counter[str] = field(default_factory=Counter)

    def endpoint(self, name: str) -> EndpointMeter:
        """Return the counts of the endpoints with this name, of any attempt."""
        return self.endpoints.setdefault(name, EndpointMeter())

    @contextmanager
    def including(self, counts: AnswerCounts) -> Iterator[None]:
        """Include the counts of a gateway, at once and after the block has ended."""
        self._open.append(counts)
        try:
            yield
        finally:
            self._open = [each for each in self._open if each is not counts]
            self._bad_answers.update(counts.bad_answers)
            self._cured.update(counts.cured)

    def totals(self) -> dict[str, int]:
        """Return the sums over all endpoints and methods."""
        counts = [each for endpoint in self.endpoints.values() for each in endpoint.methods.values()]
        return {
            "calls": sum(each.calls for each in counts),
            "retried_calls": sum(each.retried_calls for each in counts),
            "hedged_calls": sum(each.hedged_calls for each in counts),
            "rate_limited_requests": sum(each.rate_limited_requests for each in counts),
        }

    def bad_answers(self) -> Counter[str]:
        """Return the number of bad answers by kind."""
        return sum((each.bad_answers for each in self._open), self._bad_answers)

    def cured(self) -> Counter[str]:
        """Return the number of bad answers, by kind, that were good when they were asked for again."""
        return sum((each.cured for each in self._open), self._cured)
