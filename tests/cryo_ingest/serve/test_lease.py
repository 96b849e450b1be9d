"""The lease by the worker's own clock: LSE-2, LSE-3."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from support.service_doubles import Hang, ScriptedDispatcher, backoff, claim_of
from support.virtual_time import VirtualClock

from cryo_ingest.serve.lease import Lease, margin_seconds, renew, wait_until_expired
from cryo_ingest.serve.ports import DispatcherUnavailable, LeaseLost, LeasePeriod
from cryo_ingest.serve.responses import parse_renewal

FAULT = DispatcherUnavailable("heartbeat", "answered 503")


@pytest.mark.parametrize(
    ("term", "margin"), [(600, 5), (60, 5), (15, 5), (9, 3), (3, 1), (2, 1), (0.5, 1)], ids=lambda value: f"{value}s"
)
def test_lse_3_the_margin_is_a_third_of_the_term_between_1_and_5_s(term: float, margin: float):
    """LSE-3: `Date` has full seconds, so the term can be up to 1 s too long."""
    assert margin_seconds(term) == pytest.approx(margin)


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(days=400), timedelta(days=-400)])
def test_lse_3_the_end_does_not_depend_on_the_dispatchers_clock(skew: timedelta):
    """LSE-3: `lease_expires_at` minus `Date`, added to the monotonic time of sending, is the end."""
    date = datetime(2026, 11, 23, 12, 0, tzinfo=UTC) + skew
    body = json.dumps({"lease_expires_at": (date + timedelta(seconds=60)).isoformat()})
    headers = {"Date": format_datetime(date, usegmt=True)}
    lease = Lease(parse_renewal(body.encode(), headers, sent_at=1000.0), VirtualClock())
    assert lease.local_end == pytest.approx(1055.0)


def keep(clock: VirtualClock, dispatcher: ScriptedDispatcher) -> tuple[Lease, Coroutine[Any, Any, None]]:
    claim = claim_of()
    lease = Lease(claim.lease_period, clock)

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_until_expired(lease, clock))
            group.create_task(renew(lease, claim, dispatcher=dispatcher, clock=clock, backoff=backoff()))

    return lease, both()


def lost(clock: VirtualClock, keeping: Coroutine[Any, Any, None]) -> LeaseLost:
    with pytest.raises(ExceptionGroup) as caught:
        clock.run(keeping)
    (error,) = caught.value.exceptions
    assert isinstance(error, LeaseLost)
    return error


def test_lse_2_a_lease_is_renewed_at_every_third_of_its_term():
    """LSE-2: with 60 s a heartbeat is sent 20 s after each successful one, until the dispatcher answers 409."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, heartbeats=[None, None, None, LeaseLost("409", fenced=True)])
    _, keeping = keep(clock, dispatcher)
    assert lost(clock, keeping).fenced
    assert dispatcher.times("heartbeat") == [1020, 1040, 1060, 1080]
    assert clock.now == 1080


def test_lse_3_without_a_renewal_the_lease_is_lost_at_its_local_end():
    """LSE-3: the local end is 60 s minus 5 s after the claim was sent, whatever the failed heartbeats."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, heartbeats=[FAULT])
    _, keeping = keep(clock, dispatcher)
    assert not lost(clock, keeping).fenced
    assert clock.now == 1055
    assert dispatcher.times("heartbeat")[:3] == [1020, 1021, 1023]


def test_lse_3_a_hanging_heartbeat_does_not_delay_the_end():
    """LSE-3: each heartbeat times out early enough for another one."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, heartbeats=[Hang(FAULT)])
    _, keeping = keep(clock, dispatcher)
    lost(clock, keeping)
    assert clock.now == 1055
    assert dispatcher.times("heartbeat") == [1020, 1031, 1043]


def test_lse_3_a_renewal_counts_from_its_sending():
    """LSE-3: after two failed heartbeats the local end is 60 s minus 5 s after the third was sent."""
    clock = VirtualClock()
    dispatcher = ScriptedDispatcher(clock, heartbeats=[FAULT, FAULT, None, FAULT])
    lease, keeping = keep(clock, dispatcher)
    lost(clock, keeping)
    assert lease.lease_period == LeasePeriod(1023, 60)
    assert clock.now == 1023 + 55


def test_lse_3_after_a_pause_of_the_process_a_check_finds_the_lease_lost():
    """LSE-3: the check reads the clock, since no timer ran during the pause; at its end the lease is lost."""
    clock = VirtualClock()
    lease = Lease(LeasePeriod(1000, 60), clock)
    clock.now = 1054.9
    lease.check()
    clock.now = 1055.0
    with pytest.raises(LeaseLost):
        lease.check()
