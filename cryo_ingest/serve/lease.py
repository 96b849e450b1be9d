"""The lease of an attempt: when it ends by our clock, its renewal, and the check before each irreversible step.

The dispatcher's clock is never compared with ours (LSE-3). A lost lease fails the attempt's `TaskGroup`, which cancels
the attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from cryo_ingest.logs import log
from cryo_ingest.serve.ports import DispatcherUnavailable, LeaseLost

if TYPE_CHECKING:
    from cryo_ingest.backoff import Backoff
    from cryo_ingest.ports import Clock
    from cryo_ingest.serve.ports import Claim, Dispatcher, Grant

MAX_MARGIN_SECONDS = 5.0
MIN_MARGIN_SECONDS = 1.0
"""`Date` has full seconds, so the term may be up to a second too long."""

RENEWALS_IN_TERM = 3
TRIES_IN_RENEWAL = 2
MAX_REQUEST_SECONDS = 10.0


def margin_seconds(term_seconds: float) -> float:
    """Return how long before its end a lease counts as lost (LSE-3)."""
    return max(MIN_MARGIN_SECONDS, min(MAX_MARGIN_SECONDS, term_seconds / 3))


class Lease:
    """A lease, by its last grant."""

    def __init__(self, grant: Grant, clock: Clock) -> None:
        self._clock = clock
        self.grant = grant

    @property
    def local_end(self) -> float:
        """The monotonic time at which the lease is lost."""
        return self.grant.sent_at + self.grant.term_seconds - margin_seconds(self.grant.term_seconds)

    def remaining_seconds(self) -> float:
        """Return how long the lease is still held; zero or less if it is lost."""
        return self.local_end - self._clock.monotonic()

    def check(self) -> None:
        """Check that the lease is held; called before each irreversible step.

        This reads the clock, because after a pause of the process other tasks may run before the timer that cancels the
        attempt.

        Raises:
            LeaseLost: it has reached its local end.
        """
        if self.remaining_seconds() <= 0:
            raise LeaseLost("it ended without a renewal")


async def watch(lease: Lease, clock: Clock) -> Never:
    """Wait for the lease's local end, which renewals postpone.

    Raises:
        LeaseLost: it is reached.
    """
    while True:
        lease.check()
        await clock.sleep(lease.remaining_seconds())


async def renew(lease: Lease, claim: Claim, *, dispatcher: Dispatcher, clock: Clock, backoff: Backoff) -> Never:
    """Renew the lease at every third of its term (LSE-2); a failed renewal is retried until the local end.

    Raises:
        LeaseLost: the dispatcher says that it is lost.
    """
    while True:
        grant = lease.grant
        await clock.sleep(grant.sent_at + grant.term_seconds / RENEWALS_IN_TERM - clock.monotonic())
        timeout_seconds = min(MAX_REQUEST_SECONDS, grant.term_seconds / RENEWALS_IN_TERM / TRIES_IN_RENEWAL)
        try:
            lease.grant = await dispatcher.heartbeat(claim, timeout_seconds=timeout_seconds)
        except DispatcherUnavailable as error:
            delay = backoff.failed()
            log.warning("lease.not_renewed", reason=error.reason, remaining_seconds=round(lease.remaining_seconds(), 1))
            await clock.sleep(delay)
        else:
            backoff.succeeded()
            log.info("lease.renewed", term_seconds=round(lease.grant.term_seconds, 1))
