"""How much a pool was asked: HTTP requests, calls by method, and calls that a limit rejected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.faults.rpc import HARNESS_METHOD_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

COUNTS_METHOD = "harness_counts"
"""The JSON-RPC method that returns the counts."""


@dataclass(slots=True)
class Counts:
    """Counts since the pool started. The harness's own methods are left out: no provider would bill them.

    Attributes:
        requests: HTTP requests; a batch is one.
        largest: the number of calls in the largest request.
        calls: calls by method, each call of a batch counted, whether or not it was answered.
        rejected: calls in requests that the fault `rate-limit` rejected.
    """

    requests: int = 0
    largest: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    rejected: int = 0

    def add(self, methods: Iterable[str]) -> None:
        """Count one request with these methods."""
        billed = [method for method in methods if not method.startswith(HARNESS_METHOD_PREFIX)]
        if billed:
            self.requests += 1
            self.largest = max(self.largest, len(billed))
            self.calls.update(billed)

    def as_json(self) -> dict[str, object]:
        """Return the result of `COUNTS_METHOD`."""
        return {
            "requests": self.requests,
            "largest": self.largest,
            "calls": dict(self.calls),
            "rejected": self.rejected,
        }
