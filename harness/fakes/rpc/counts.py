"""How much a pool was asked: HTTP requests, calls by method, and calls that a limit rejected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from harness.faults.rpc import HARNESS_METHOD_PREFIX, RateLimit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.faults import RpcFault

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
        faulted: calls to which another fault applied.
        faulted_requests: requests with such a call.
    """

    requests: int = 0
    largest: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    faulted: int = 0
    faulted_requests: int = 0

    def add(self, methods: Iterable[str]) -> None:
        """Count one request with these methods."""
        billed = [method for method in methods if not method.startswith(HARNESS_METHOD_PREFIX)]
        if billed:
            self.requests += 1
            self.largest = max(self.largest, len(billed))
            self.calls.update(billed)

    def add_faults(self, faults: Sequence[RpcFault | None]) -> None:
        """Count the faults of one request, one for each call."""
        applied = [fault for fault in faults if fault is not None]
        if applied and isinstance(applied[0], RateLimit):
            self.rejected += len(applied)
        elif applied:
            self.faulted += len(applied)
            self.faulted_requests += 1

    def as_json(self) -> dict[str, object]:
        """Return the result of `COUNTS_METHOD`."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
