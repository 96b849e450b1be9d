"""Hedging: a request that hangs does not hang the attempt, and few calls are sent twice."""

import asyncio
from typing import Any

import pytest
from support.virtual_loop import LoopClock, run_virtually

from cryo_ingest.ports import Call
from cryo_ingest.rpc.hedging import MAX_SHARE, MIN_HEDGE_SECONDS, Hedger, IndexedCall, Response
from cryo_ingest.rpc.replies import RequestFailed

USUAL_SECONDS = 0.02
TIMEOUT_SECONDS = 30.0


def batch(calls: int = 1) -> list[IndexedCall]:
    return [(index, Call("eth_call", (index,))) for index in range(calls)]


class Endpoint:
    """Answers in the usual time, hangs until the timeout, or fails."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def answers(self, calls: list[IndexedCall], _: float) -> Response:
        """Answer."""
        await asyncio.sleep(USUAL_SECONDS)
        return Response({index: "answer" for index, _ in calls})

    async def hangs(self, _: list[IndexedCall], timeout_seconds: float) -> Response:
        """Answer nothing."""
        try:
            await asyncio.sleep(timeout_seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise RequestFailed("no answer in time")

    async def fails(self, *_: Any) -> Response:
        """Fail."""
        await asyncio.sleep(USUAL_SECONDS)
        raise RequestFailed("it answered 503")


async def warm(hedger: Hedger, requests: int) -> None:
    """Let the hedger learn the usual time."""
    for _ in range(requests):
        await hedger.send(batch(), TIMEOUT_SECONDS, post=Endpoint().answers, again=Endpoint().fails)


def test_rpc_1_a_request_that_hangs_is_answered_by_a_second_one():
    """RPC-1: it costs about the shortest time after which a request is slow, not its timeout."""

    async def main() -> tuple[Response, float, int, int]:
        clock, endpoint = LoopClock(), Endpoint()
        hedger = Hedger(clock)
        await warm(hedger, 10)
        started = clock.monotonic()
        response = await hedger.send(batch(3), TIMEOUT_SECONDS, post=endpoint.hangs, again=endpoint.answers)
        return response, clock.monotonic() - started, hedger.calls_hedged, endpoint.cancelled

    response, seconds, hedged, cancelled = run_virtually(main())
    assert len(response.answers) == 3
    assert seconds == pytest.approx(MIN_HEDGE_SECONDS + USUAL_SECONDS)
    assert (hedged, cancelled) == (3, 1)


@pytest.mark.parametrize(("first", "again"), [("hangs", "fails"), ("hangs", "hangs")])
def test_a_failure_counts_only_if_both_requests_fail(first: str, again: str):
    """The failure of one of the two is no reason to give up the other."""

    async def main() -> None:
        endpoint, hedger = Endpoint(), Hedger(LoopClock())
        await warm(hedger, 3)
        with pytest.raises(RequestFailed):
            await hedger.send(batch(), TIMEOUT_SECONDS, post=getattr(endpoint, first), again=getattr(endpoint, again))

    run_virtually(main())


def test_an_endpoint_whose_usual_time_is_unknown_is_not_asked_twice():
    """Without a response nothing shows what is slow."""

    async def main() -> int:
        hedger = Hedger(LoopClock())
        with pytest.raises(RequestFailed):
            await hedger.send(batch(), TIMEOUT_SECONDS, post=Endpoint().hangs, again=Endpoint().answers)
        return hedger.calls_hedged

    assert run_virtually(main()) == 0


def test_at_most_five_percent_of_the_calls_are_sent_twice():
    """An overloaded endpoint, all of whose requests are slow, gets hardly more calls."""

    async def main() -> tuple[int, int]:
        endpoint, hedger = Endpoint(), Hedger(LoopClock())
        await warm(hedger, 100)
        slow = (hedger.send(batch(), 5, post=endpoint.hangs, again=endpoint.answers) for _ in range(100))
        await asyncio.gather(*slow, return_exceptions=True)
        return hedger.calls_hedged, hedger.calls_sent

    hedged, sent = run_virtually(main())
    assert 1 <= hedged <= MAX_SHARE * sent
