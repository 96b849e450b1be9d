"""Rates: the configured limit is kept, and the one that refusals show is found and used."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.proving import JumpingClock
from support.virtual_loop import LoopClock, run_virtually

from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.batching import CallSender
from cryo_ingest.rpc.client import CALLS_IN_FLIGHT
from cryo_ingest.rpc.endpoint_state import EndpointState
from cryo_ingest.rpc.gathering import Gatherer
from cryo_ingest.rpc.hedging import Hedger, IndexedCall, Response
from cryo_ingest.rpc.limits import DEFAULT_POLICY, MAX_BATCH_CALLS, InFlightLimiter, Outage
from cryo_ingest.rpc.rates import LearnedRate, RateLimiter
from cryo_ingest.rpc.replies import RequestFailed

LATENCY_SECONDS = 0.02
LEARNING_SECONDS, MEASURED_SECONDS = 30.0, 90.0


@dataclass
class FixedWindow:
    """So many calls in each second of the clock."""

    limit: int
    window: int = -1
    used: int = 0

    def accepts(self, calls: int, now: float) -> bool:
        """Count calls in their second."""
        if int(now) != self.window:
            self.window, self.used = int(now), 0
        if self.used + calls > self.limit:
            return False
        self.used += calls
        return True


@dataclass
class TokenBucket:
    """A bucket with the calls of one second, which fills up again steadily."""

    limit: int
    tokens: float = 0.0
    at: float = 0.0

    def accepts(self, calls: int, now: float) -> bool:
        """Take tokens."""
        self.tokens = min(self.limit, self.tokens + (now - self.at) * self.limit)
        self.at = now
        if self.tokens < calls:
            return False
        self.tokens -= calls
        return True


@dataclass
class EveryNth:
    """Refuses every nth request, whatever the rate."""

    nth: int
    count: int = 0

    def accepts(self, calls: int, now: float) -> bool:
        """Count requests."""
        del calls, now
        self.count += 1
        return self.count % self.nth != 0


Provider = FixedWindow | TokenBucket | EveryNth


@dataclass
class LimitedNode:
    """An endpoint as the worker's client sees it: its own batches, retries and limits, in front of a provider."""

    provider: Provider
    retry_after_seconds: float | None
    name: str = "endpoint 1 of 1"
    clock: LoopClock = field(default_factory=LoopClock)
    accepted: list[tuple[float, int]] = field(default_factory=list)
    refused: list[tuple[float, int]] = field(default_factory=list)
    billed_calls: int = 0
    state: EndpointState = field(init=False)

    def __post_init__(self) -> None:
        self.state = EndpointState(
            MAX_BATCH_CALLS,
            Outage(self.clock, Random(0)),
            InFlightLimiter(CALLS_IN_FLIGHT),
            RateLimiter(self.clock, None),
            LearnedRate(self.clock, self.name),
            Hedger(self.clock),
        )

    async def request(self, *_: Any, **__: Any) -> list[Any]:
        """Is not used."""
        raise NotImplementedError

    async def send(
        self, calls: Sequence[IndexedCall], deliver: Callable[[int, bytes | NodeError], None], *, patient: bool
    ) -> None:
        """Send calls as `HttpNode` does."""
        assert patient
        policy, deadline = DEFAULT_POLICY, self.clock.monotonic() + 3600
        sender = CallSender(
            self.name, deadline, self.clock, self.state, self.post, self.post, policy, optional=True, deliver=deliver
        )
        await sender.send(list(calls))

    async def post(self, batch: list[IndexedCall], _: float) -> Response:
        """Answer or refuse one request."""
        now = self.clock.monotonic()
        await asyncio.sleep(LATENCY_SECONDS)
        if not self.provider.accepts(len(batch), now):
            self.refused.append((now, len(batch)))
            raise RequestFailed("it limits the rate", about_rate=True, retry_after_seconds=self.retry_after_seconds)
        self.accepted.append((now, len(batch)))
        return Response({index: b"1" for index, _ in batch}, 10 * len(batch))


def use(provider: Provider, retry_after_seconds: float | None) -> tuple[float, float]:
    """Ask as much as possible; return the accepted and the refused calls a second after the time for learning."""

    async def main() -> tuple[float, float]:
        node = LimitedNode(provider, retry_after_seconds)
        gatherer, clock = Gatherer(node), node.clock
        start = clock.monotonic()

        async def ask_again_and_again() -> None:
            while clock.monotonic() < start + LEARNING_SECONDS + MEASURED_SECONDS:
                await gatherer.ask(Call("eth_call"))

        await asyncio.gather(*(ask_again_and_again() for _ in range(CALLS_IN_FLIGHT)))
        measured = range(int(start + LEARNING_SECONDS), int(start + LEARNING_SECONDS + MEASURED_SECONDS))
        counts = [
            sum(calls for at, calls in requests if int(at) in measured) for requests in (node.accepted, node.refused)
        ]
        return counts[0] / MEASURED_SECONDS, counts[1] / MEASURED_SECONDS

    return run_virtually(main())


@pytest.mark.parametrize(
    ("provider", "retry_after_seconds"),
    [
        (FixedWindow(300), None),
        (FixedWindow(100), 1.0),
        (FixedWindow(300), 1.0),
        (FixedWindow(1000), 1.0),
        (TokenBucket(100), None),
        (TokenBucket(300), None),
        (TokenBucket(100), 1.0),
        (TokenBucket(300), 1.0),
    ],
    ids=str,
)
def test_rpc_2_at_least_nine_tenths_of_an_unknown_limit_are_used(
    provider: FixedWindow | TokenBucket, retry_after_seconds: float | None
):
    """RPC-2: however the provider measures, with `Retry-After` or without."""
    accepted, _ = use(provider, retry_after_seconds)
    assert accepted >= 0.9 * provider.limit


def test_refusals_that_do_not_depend_on_the_rate_do_not_reduce_it_for_long():
    """A member of a balanced pool that answers 429 to everything must not make the rate fall and fall.

    Each refusal costs the second of `Retry-After`; without refusals 49,000 calls a second would be sent.
    """
    accepted, _ = use(EveryNth(20), 1.0)
    assert accepted > 1000


def test_one_refusal_is_no_limit():
    """A single 429 among thousands of responses must not slow down an attempt."""
    clock = JumpingClock()
    rate = LearnedRate(clock, "it")
    for _ in range(100):
        rate.accepted(50)
    rate.refused(sent_at=clock.now)
    assert rate.max_batch_calls is None


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.integers(1, 250), min_size=1, max_size=40), per_second=st.integers(1, 1000))
def test_rpc_2_the_configured_limit_holds_over_any_time(batches: list[int], per_second: int):
    """RPC-2: between any two batches there is the time of all calls before the second one."""
    clock = JumpingClock()

    async def main() -> list[float]:
        limiter = RateLimiter(clock, per_second)
        times = []
        for calls in batches:
            await limiter.acquire(calls)
            times.append(clock.now)
        return times

    times = asyncio.run(main())
    for index, start in enumerate(times):
        assert start - times[0] >= sum(batches[:index]) / per_second - 1e-6
