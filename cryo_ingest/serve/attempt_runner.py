"""Runs a claimed task's attempt under its lease, reports it, and deletes its staging directory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryo_ingest.attempt import Failure, Success, run_attempt
from cryo_ingest.backoff import Backoff
from cryo_ingest.errors import AttemptCrashed, StoppedByShutdown, first_exception_of
from cryo_ingest.logs import log
from cryo_ingest.serve.completion import complete, make_report
from cryo_ingest.serve.lease import Lease, renew, wait_until_expired
from cryo_ingest.serve.lease_checked_store import LeaseCheckedStore
from cryo_ingest.serve.ports import LeaseLost

if TYPE_CHECKING:
    from random import Random

    from cryo_ingest.attempt import Outcome
    from cryo_ingest.ports import Clock
    from cryo_ingest.redact import Redactor
    from cryo_ingest.serve.ports import Claim, Dispatcher
    from cryo_ingest.serve.shutdown import Shutdown
    from cryo_ingest.serve.status import Status
    from cryo_ingest.settings import Settings
    from cryo_ingest.wiring import WorkerPorts


@dataclass(frozen=True, slots=True)
class AttemptRunner:
    """Runs claimed attempts, any number of them concurrently."""

    dispatcher: Dispatcher
    ports: WorkerPorts
    settings: Settings
    shutdown: Shutdown
    clock: Clock
    random: Random
    redactor: Redactor
    status: Status

    async def run(self, claim: Claim) -> bool:
        """Run one attempt from its claim to its report; return whether its wake-up can be acknowledged.

        The wake-up can be acknowledged if the attempt is reported, or if the dispatcher has given the task to another
        attempt.
        """
        lease = Lease(claim.lease_period, self.clock)
        with self.redactor.with_secrets(claim.lease_token, claim.capability_token):
            try:
                outcome = await self._run_under_lease(claim, lease)
                self.status.record_outcome(outcome)
                return await self._report_outcome(claim, lease, outcome)
            except LeaseLost as lost:
                log.warning("attempt.lease_lost", reason=str(lost), fenced=lost.fenced)
                return lost.fenced
            finally:
                # After the report, and after any failure (STG-3, STG-8).
                await self.ports.staging.discard(claim.assignment.task_id, claim.assignment.attempt)

    async def _run_under_lease(self, claim: Claim, lease: Lease) -> Outcome:
        """Run the attempt and its background tasks; a lost lease, a shutdown or a bug cancels all of them.

        Raises:
            LeaseLost: the lease is lost, and the attempt has ended.
        """
        ports = replace(self.ports, store=LeaseCheckedStore(self.ports.store, lease))
        try:
            async with asyncio.TaskGroup() as group:
                background = [
                    group.create_task(wait_until_expired(lease, self.clock)),
                    group.create_task(self._renew(lease, claim)),
                    group.create_task(self.shutdown.wait_for_stop()),
                ]
                outcome = await run_attempt(claim.assignment, ports=ports, settings=self.settings)
                for task in background:
                    task.cancel()
        except ExceptionGroup as failed:
            if (lost := first_exception_of(failed, LeaseLost)) is not None:
                self.status.outcomes["lease_lost"] += 1
                raise lost from None
            if (stopped := first_exception_of(failed, StoppedByShutdown)) is not None:
                return Failure(stopped)
            log.exception("attempt.crashed")
            return Failure(AttemptCrashed(kind=type(first_exception_of(failed, Exception)).__name__))
        return outcome

    async def _renew(self, lease: Lease, claim: Claim) -> None:
        await renew(lease, claim, dispatcher=self.dispatcher, clock=self.clock, backoff=Backoff(self.random))

    async def _report_outcome(self, claim: Claim, lease: Lease, outcome: Outcome) -> bool:
        if isinstance(outcome, Failure):
            error = outcome.error
            log.error("attempt.failed", outcome=outcome.outcome, error=type(error).__name__, message=str(error))
        reported = await complete(
            claim,
            make_report(outcome, self.redactor),
            lease=lease,
            dispatcher=self.dispatcher,
            clock=self.clock,
            backoff=Backoff(self.random),
        )
        if reported:
            if isinstance(outcome, Success):
                self.status.record_published(outcome)
            log.info("attempt.reported", outcome=outcome.outcome)
        return reported
