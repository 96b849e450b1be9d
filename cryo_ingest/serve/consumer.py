"""Processes one wake-up at a time. A service has one consumer for each concurrent attempt.

A consumer receives a message only when it is idle. While the attempt runs, the consumer keeps the message invisible to
other consumers, by SQS's visibility timeout. It deletes the message only after the attempt is reported, or if the task
can't be claimed (LSE-1). An error with one message does not end the consumer.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from cryo_ingest.attempt import log_fields
from cryo_ingest.logs import log
from cryo_ingest.model import UUID_PATTERN
from cryo_ingest.serve.ports import DispatcherUnavailable, NotClaimed, QueueUnavailable
from cryo_ingest.serve.queue import VISIBILITY_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cryo_ingest.backoff import Backoff
    from cryo_ingest.ports import Clock
    from cryo_ingest.serve.attempt_runner import AttemptRunner
    from cryo_ingest.serve.ports import Dispatcher, Message, WakeupQueue
    from cryo_ingest.serve.shutdown import Shutdown
    from cryo_ingest.serve.status import Status


@dataclass(frozen=True, slots=True)
class Consumer:
    """Processes wake-ups until the service shuts down."""

    queue: WakeupQueue
    dispatcher: Dispatcher
    runner: AttemptRunner
    shutdown: Shutdown
    status: Status
    clock: Clock
    backoff: Backoff
    machine_backoff: Backoff
    poll_seconds: int

    async def run(self) -> None:
        """Process wake-ups one after another.

        The first poll does not wait, so that a wrong queue URL or a missing permission is detected at once. When the
        service drains, it takes no new tasks: a running poll is completed, and its message is returned to the queue at
        once. The poll is not cancelled, because SQS may already have delivered a message, which would otherwise stay
        invisible for a minute.
        """
        wait_seconds = 0
        while not self.shutdown.draining:
            try:
                message = await self.queue.receive(wait_seconds=wait_seconds)
                self.status.queue_ok = True
                wait_seconds = self.poll_seconds
                if message is not None:
                    await self._handle(message)
                    await self._pause_if_machine_is_unhealthy()
            except QueueUnavailable as error:
                self.status.queue_ok = False
                log.warning("queue.unavailable", operation=error.operation, reason=error.reason)
                await self._pause(self.backoff.failed())
            except Exception:  # noqa: BLE001 - a bug with one message must not end the service
                log.exception("wakeup.crashed")
                await self._pause(self.backoff.failed())

    async def _handle(self, message: Message) -> None:
        task_id = parse_wakeup(message.body)
        if task_id is None:
            self.status.count("malformed")
            log.warning("wakeup.malformed", length=len(message.body), so_far=self.status.counts["malformed"])
            await self.queue.acknowledge(message)
            return
        with structlog.contextvars.bound_contextvars(task_id=task_id):
            async with self._invisible(message):
                done = await self._claim_and_run(task_id, message)
            if done:
                await self.queue.acknowledge(message)

    async def _claim_and_run(self, task_id: str, message: Message) -> bool:
        """Return whether the wake-up can be acknowledged."""
        if self.shutdown.draining:
            await self.queue.hide(message, seconds=0)
            return False
        try:
            claim = await self.dispatcher.claim(task_id)
        except DispatcherUnavailable as error:
            self.status.dispatcher_ok = False
            delay = self.backoff.failed()
            log.warning("claim.unavailable", reason=error.reason, delay_seconds=round(delay, 2))
            await self.queue.hide(message, seconds=math.ceil(delay))
            await self._pause(delay)
            return False
        self.status.dispatcher_ok = True
        self.backoff.succeeded()
        if isinstance(claim, NotClaimed):
            self.status.count("not_claimed")
            log.info("claim.not_claimed", reason=claim.reason)
            return True
        with structlog.contextvars.bound_contextvars(**log_fields(claim.assignment)), self.status.running():
            log.info("attempt.claimed", lease_seconds=round(claim.lease_period.duration_seconds, 1))
            return await self.runner.run(claim)

    @asynccontextmanager
    async def _invisible(self, message: Message) -> AsyncIterator[None]:
        """Keep a message invisible to other consumers until the `with` block ends."""
        extending = asyncio.create_task(self._extend_visibility_timeout(message))
        try:
            yield
        finally:
            extending.cancel()
            await asyncio.gather(extending, return_exceptions=True)

    async def _extend_visibility_timeout(self, message: Message) -> None:
        while True:
            await self.clock.sleep(VISIBILITY_SECONDS / 3)
            try:
                await self.queue.hide(message, seconds=VISIBILITY_SECONDS)
            except QueueUnavailable as error:
                # The message may be delivered again: then a claim finds that the task is running.
                log.warning("wakeup.not_hidden", reason=error.reason)

    async def _pause_if_machine_is_unhealthy(self) -> None:
        """Pause if the last attempt failed because of this machine's clock or credentials.

        Other workers can run the tasks meanwhile.
        """
        if self.status.machine_problem is None:
            self.machine_backoff.succeeded()
        else:
            await self._pause(self.machine_backoff.failed())

    async def _pause(self, seconds: float) -> None:
        await self.shutdown.cancel_on_drain(self.clock.sleep(seconds))


def parse_wakeup(body: str) -> str | None:
    """Return the task id in a wake-up, in lower case, or None if the body is not a wake-up."""
    try:
        task_id = json.loads(body)["task_id"]
        return task_id.lower() if re.fullmatch(UUID_PATTERN, task_id) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
