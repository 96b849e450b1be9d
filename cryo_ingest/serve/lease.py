"""The lease on one attempt: when it ends by our own clock, how it is renewed, and what must not start without it.

Our clock is a `Clock`; the dispatcher's never enters (LSE-3). Cancelling the attempt is left to its `TaskGroup`, which
a lost lease fails.
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
"""`Date` has whole seconds, so the term may be up to a second too long."""

RENEWALS_A_TERM = 3
TRIES_A_RENEWAL = 2
MAX_REQUEST_SECONDS = 10.0


def margin_seconds(term_seconds: float) -> float:
    """Return how long before its end a lease counts as lost (LSE-3)."""
    return max(MIN_MARGIN_SECONDS, min(MAX_MARGIN_SECONDS, term_seconds / 3))


class Lease:
    """What is known of a lease: the last good grant."""

    def __init__(self, grant: Grant, clock: Clock) -> None:
        self._clock = clock
        self.grant = grant

    @property
    def local_end(self) -> float:
        """The monotonic time from which on the lease is lost."""
        return self.grant.sent_at + self.grant.term_seconds - margin_seconds(self.grant.term_seconds)

    def remaining_seconds(self) -> float:
        """Return how long it is held still; zero or less when it is lost."""
        return self.local_end - self._clock.monotonic()

    def require(self) -> None:
        """Do nothing while the lease is held: what comes before each irreversible step.

        It looks at the clock itself, because after a pause of the whole process other tasks may run before the timer
        that would have ended the attempt.

        Raises:
            LeaseLost: its local end has come.
        """
        if self.remaining_seconds() <= 0:
            raise LeaseLost("its local end has come without a renewal")


async def watch(lease: Lease, clock: Clock) -> Never:
    """Raise at the lease's local end, however often that is put off.

    Raises:
        LeaseLost: it has come.
    """
    while True:
        lease.require()
        await clock.sleep(lease.remaining_seconds())


async def renew(lease: Lease, claim: Claim, *, dispatcher: Dispatcher, clock: Clock, backoff: Backoff) -> Never:
    """Renew the lease at every third of its term (LSE-2); a renewal that fails is tried again until the local end.

    Raises:
        LeaseLost: the dispatcher says so.
    """
    while True:
        grant = lease.grant
        await clock.sleep(grant.sent_at + grant.term_seconds / RENEWALS_A_TERM - clock.monotonic())
        timeout_seconds = min(MAX_REQUEST_SECONDS, grant.term_seconds / RENEWALS_A_TERM / TRIES_A_RENEWAL)
        try:
            lease.grant = await dispatcher.heartbeat(claim, timeout_seconds=timeout_seconds)
        except DispatcherUnavailable as error:
            delay = backoff.failed()
            log.warning("lease.not_renewed", reason=error.reason, remaining_seconds=round(lease.remaining_seconds(), 1))
            await clock.sleep(delay)
        else:
            backoff.succeeded()
            log.info("lease.renewed", term_seconds=round(lease.grant.term_seconds, 1))
