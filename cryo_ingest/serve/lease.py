"""The lease of an attempt: when it ends by this machine's clock, its renewal, the check before irreversible steps.

The dispatcher's clock is never compared with this machine's (LSE-3). If the lease is lost, a task of the attempt's
`TaskGroup` raises an exception, and that cancels the attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from cryo_ingest.logs import log
from cryo_ingest.serve.ports import DispatcherUnavailable, LeaseLost

if TYPE_CHECKING:
    from cryo_ingest.backoff import Backoff
    from cryo_ingest.ports import Clock
    from cryo_ingest.serve.ports import Claim, Dispatcher, LeasePeriod

MAX_MARGIN_SECONDS = 5.0
MIN_MARGIN_SECONDS = 1.0
"""`Date` has full seconds, so the computed duration may be up to a second too long."""

RENEWALS_IN_PERIOD = 3
TRIES_IN_RENEWAL = 2
MAX_REQUEST_SECONDS = 10.0


def margin_seconds(duration_seconds: float) -> float:
    """Return how long before its end a lease is treated as lost (LSE-3)."""
    return max(MIN_MARGIN_SECONDS, min(MAX_MARGIN_SECONDS, duration_seconds / 3))


class Lease:
    """An attempt's lease; `lease_period` is from the last claim or heartbeat."""

    def __init__(self, lease_period: LeasePeriod, clock: Clock) -> None:
        self._clock = clock
        self.lease_period = lease_period

    @property
    def local_end(self) -> float:
        """The monotonic time at which the lease is lost."""
        return (
            self.lease_period.sent_at
            + self.lease_period.duration_seconds
            - margin_seconds(self.lease_period.duration_seconds)
        )

    def remaining_seconds(self) -> float:
        """Return how long the lease remains valid; zero or less if it is lost."""
        return self.local_end - self._clock.monotonic()

    def check(self) -> None:
        """Check that the lease is valid; called before each irreversible step.

        This reads the clock, because after a pause of the process, other tasks may run before the one that cancels the
        attempt.

        Raises:
            LeaseLost: the lease has reached its local end.
        """
        if self.remaining_seconds() <= 0:
            raise LeaseLost("it ended without a renewal")


async def wait_until_expired(lease: Lease, clock: Clock) -> Never:
    """Wait for the lease's local end, which renewals postpone.

    Raises:
        LeaseLost: the lease has reached its local end.
    """
    while True:
        lease.check()
        await clock.sleep(lease.remaining_seconds())


async def renew(lease: Lease, claim: Claim, *, dispatcher: Dispatcher, clock: Clock, backoff: Backoff) -> Never:
    """Renew the lease at every third of its duration (LSE-2); a failed renewal is retried until the local end.

    Raises:
        LeaseLost: the dispatcher says that it is lost.
    """
    while True:
        lease_period = lease.lease_period
        await clock.sleep(lease_period.sent_at + lease_period.duration_seconds / RENEWALS_IN_PERIOD - clock.monotonic())
        timeout_seconds = min(
            MAX_REQUEST_SECONDS, lease_period.duration_seconds / RENEWALS_IN_PERIOD / TRIES_IN_RENEWAL
        )
        try:
            lease.lease_period = await dispatcher.heartbeat(claim, timeout_seconds=timeout_seconds)
        except DispatcherUnavailable as error:
            delay = backoff.failed()
            log.warning("lease.not_renewed", reason=error.reason, remaining_seconds=round(lease.remaining_seconds(), 1))
            await clock.sleep(delay)
        else:
            backoff.succeeded()
            log.info("lease.renewed", term_seconds=round(lease.lease_period.duration_seconds, 1))
