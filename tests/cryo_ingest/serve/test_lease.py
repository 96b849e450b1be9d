"""The lease by our own clock: LSE-2, LSE-3."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from support.service_doubles import Hang, ScriptedDispatcher, backoff, claim_of
from support.virtual_time import VirtualClock

from cryo_ingest.serve.lease import Lease, margin_seconds, renew, watch
from cryo_ingest.serve.ports import DispatcherUnavailable, Grant, LeaseLost
from cryo_ingest.serve.responses import parse_renewal

FAULT = DispatcherUnavailable("heartbeat", "answered 503")


@pytest.mark.parametrize(
    ("term", "margin"), [(600, 5), (60, 5), (15, 5), (9, 3), (3, 1), (2, 1), (0.5, 1)], ids=lambda value: f"{value}s"
)
def test_lse_3_the_margin_is_the_smaller_of_5_s_and_a_third_never_under_1_s(term: float, margin: float):
    """LSE-3: a `Date` in whole seconds can make the term up to 1 s too long, so less than that would be no margin."""
    assert margin_seconds(term) == pytest.approx(margin)


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(days=400), timedelta(days=-400)])
def test_lse_3_the_end_is_counted_from_our_sending_and_never_from_the_dispatchers_clock(skew: timedelta):
    """LSE-3: `lease_expires_at` minus `Date`, added to the monotonic time of sending; its clock may be anything."""
    answered = datetime(2026, 11, 23, 12, 0, tzinfo=UTC) + skew
    body = json.dumps({"lease_expires_at": (answered + timedelta(seconds=60)).isoformat()})
    headers = {"Date": format_datetime(answered, usegmt=True)}
    lease = Lease(parse_renewal(body.encode(), headers, sent_at=1000.0), VirtualClock())
    assert lease.local_end == pytest.approx(1055.0)


def keep(clock: VirtualClock, dispatcher: ScriptedDispatcher) -> tuple[Lease, Coroutine[Any, Any, None]]:
    claim = claim_of()
    lease = Lease(claim.grant, clock)

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch(lease, clock))
            group.create_task(renew(lease, claim, dispatcher=dispatcher, clock=clock, backoff=backoff()))

    return lease, both()


def lost(clock: VirtualClock, keeping: Coroutine[Any, Any, None]) -> LeaseLost:
    with pytest.raises(ExceptionGroup) as caught:
        clock.run(keeping)
    (error,) = caught.value.exceptions
    assert isinstance(error, LeaseLost)
    return error


def test_lse_2_it_is_renewed_at_every_third_of_its_term():
    """LSE-2: a heartbeat 20 s after each good one of a lease of 60 s, until the dispatcher takes it away."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, heartbeats=[None, None, None, LeaseLost("409", fenced=True)])
    _, keeping = keep(clock, dispatcher)
    assert lost(clock, keeping).fenced
    assert dispatcher.times("heartbeat") == [1020, 1040, 1060, 1080]
    assert clock.now == 1080


def test_lse_3_without_an_answer_it_is_lost_at_its_local_end_and_not_a_moment_later():
    """LSE-3: 60 s, less 5, from the claim's sending, however many heartbeats failed in between."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, heartbeats=[FAULT])
    _, keeping = keep(clock, dispatcher)
    assert not lost(clock, keeping).fenced
    assert clock.now == 1055
    assert dispatcher.times("heartbeat")[:3] == [1020, 1021, 1023]


def test_lse_3_a_heartbeat_that_hangs_holds_nothing_up():
    """LSE-3: an open request does not put the local end off, and each is given up in time for another."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, heartbeats=[Hang(FAULT)])
    _, keeping = keep(clock, dispatcher)
    lost(clock, keeping)
    assert clock.now == 1055
    assert dispatcher.times("heartbeat") == [1020, 1031, 1043]


def test_lse_3_a_renewal_counts_from_when_it_was_sent():
    """LSE-3: after two failures the third heartbeat is good: 60 s less 5 from that one's sending."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, heartbeats=[FAULT, FAULT, None, FAULT])
    lease, keeping = keep(clock, dispatcher)
    lost(clock, keeping)
    assert lease.grant == Grant(1023, 60)
    assert clock.now == 1023 + 55


def test_lse_3_after_a_pause_of_the_process_the_lease_is_known_to_be_lost_before_any_timer_runs():
    """LSE-3: what asks first after a SIGSTOP past the end is refused, and the end itself counts as past."""
    clock = VirtualClock()
    lease = Lease(Grant(1000, 60), clock)
    clock.now = 1054.9
    lease.check()
    clock.now = 1055.0
    with pytest.raises(LeaseLost):
        lease.check()
