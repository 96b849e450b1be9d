"""What the responses of one endpoint have shown: its limits, batch sizes, missing methods and pauses."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.meter import EndpointMeter
from cryo_ingest.rpc.limits import BATCH_BYTES, FIRST_BATCH_CALLS, AnswerSizes, BatchSize, InFlightLimiter, Outage
from cryo_ingest.rpc.methods import key_of

if TYPE_CHECKING:
    from cryo_ingest.ports import Limiter, NodeError
    from cryo_ingest.rpc.hedging import Hedger
    from cryo_ingest.rpc.rates import LearnedRate


@dataclass(slots=True)
class EndpointState:
    """What the responses of one endpoint have shown so far; kept while the endpoint is open."""

    max_batch_calls: int
    outage: Outage
    in_flight: InFlightLimiter
    limiter: Limiter
    rate: LearnedRate
    hedger: Hedger
    meter: EndpointMeter = field(default_factory=EndpointMeter)
    first_batch_calls: int = FIRST_BATCH_CALLS
    missing_methods: dict[str, NodeError] = field(default_factory=dict)
    """Methods that the endpoint does not have, with the error that a single call received."""
    failing_methods: dict[str, None] = field(default_factory=dict)
    """Methods whose optional calls failed until the retry policy gave up. The next such call is tried only once."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a request waits for its time: a pause, or a lower rate, then applies to all that come after it."""
    _batch_sizes: dict[str, BatchSize] = field(default_factory=dict)
    _answer_sizes: dict[str, AnswerSizes] = field(default_factory=dict)

    def batch_size(self, method: str) -> BatchSize:
        """Return the batch size of a method. Some providers accept batches only of some methods."""
        key = key_of(method)
        if key not in self._batch_sizes:
            first = min(self.first_batch_calls, self.max_batch_calls)
            self._batch_sizes[key] = BatchSize(self.max_batch_calls, first)
        return self._batch_sizes[key]

    def answer_sizes(self, method: str) -> AnswerSizes:
        """Return what is known of the size of a method's answers."""
        return self._answer_sizes.setdefault(key_of(method), AnswerSizes())

    async def wait_until_allowed(self, calls: int) -> None:
        """Wait for the configured and the learned rate, and for the end of a pause."""
        await self.limiter.acquire(calls)
        await self.rate.acquire(calls)
        await self.outage.wait_for_pause()

    def next_batch_calls(self, method: str) -> int:
        """Return how many calls of a method the next batch may have, by count, bytes and rate."""
        size = min(self.batch_size(method).size, self.answer_sizes(method).calls_in(BATCH_BYTES))
        return min(size, self.rate.max_batch_calls or size)
