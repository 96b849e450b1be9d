"""The embedded engine: runs a job's ranges in this process, each by `run_attempt`.

A range that fails retryably is tried again after a pause; one that fails fatally, or ten times in a row with the same
error, is set aside. A range that is too large for the caps, or for the deadline, is split in two.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from cryo_ingest.attempt import Failure, Success, log_fields
from cryo_ingest.backoff import backoff_seconds, jittered
from cryo_ingest.errors import (
    AttemptCrashed,
    CapExceeded,
    CryoNotRunnable,
    CryoRejectedArguments,
    DeadlineExceeded,
    EndpointUnusable,
    FatalError,
    NoSuchBucket,
    RangeNotFinal,
    RpcPoolUnresolved,
    StoreDenied,
    StoreUnfit,
    UnsafeStaging,
    WrongChain,
)
from cryo_ingest.logs import log
from cryo_ingest.model import Assignment
from cryo_ingest.sync.engine import Result, SetAside
from cryo_ingest.sync.range_queue import RangeQueue, apply_splits, halves
from cryo_ingest.sync.state import Progress, RangeFailure, RunningAttempt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from random import Random

    from cryo_ingest.attempt import Outcome
    from cryo_ingest.errors import IngestError
    from cryo_ingest.ports import Clock
    from cryo_ingest.sync.derived import Blocks
    from cryo_ingest.sync.engine import Feed
    from cryo_ingest.sync.plan import StreamPlan
    from cryo_ingest.sync.range_queue import Item
    from cryo_ingest.sync.state import State

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0
MOST_REPEATS = 10
POLL_SECONDS = 1.0
"""How often a pause that another process asked for is looked up."""

OF_THE_STREAM = (
    *(CryoNotRunnable, CryoRejectedArguments, EndpointUnusable, NoSuchBucket, RpcPoolUnresolved),
    *(StoreDenied, StoreUnfit, UnsafeStaging, WrongChain),
)
"""Fatal errors that every other range of the stream would have too: no more of its ranges are started."""

TASK_NAMESPACE = uuid.UUID("8d0a1c1e-5f0b-5d5c-9c57-0f4f2d8a6f11")
"""The UUIDv5 namespace of task ids, which name staging directories; chosen at random."""


@dataclass(slots=True)
class EmbeddedEngine:
    """Runs ranges in this process; see `engine.Engine`.

    `run_attempt` runs one attempt and deletes its staging directory. `draining` is set when no new attempts may start;
    those that run then end normally.
    """

    run_attempt: Callable[[Assignment], Awaitable[Outcome]]
    state: State
    clock: Clock
    random: Random
    concurrency: int
    draining: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, plans: Sequence[StreamPlan], *, feed: Feed | None = None) -> Result:
        """Run all tasks; see `engine.Engine`."""
        return await _Run(self, plans).run(feed)


class _Run:
    """One run of the engine, with its counters."""

    def __init__(self, engine: EmbeddedEngine, plans: Sequence[StreamPlan]) -> None:
        self.engine, self.plans, self.state = engine, list(plans), engine.state
        self.extended = asyncio.Event()
        self.queue = RangeQueue([plan.stream for plan in plans])
        self.published: set[tuple[str, Blocks]] = set()
        self.set_aside: list[SetAside] = []
        self.missing = [plan.missing_blocks for plan in plans]
        self.rows: Counter[int] = Counter()
        self.size_bytes: Counter[int] = Counter()
        for place, plan in enumerate(plans):
            self.queue.add(place, apply_splits(plan.tasks, self.state.splits(plan.stream.key)))
            self._record_progress(place)

    async def run(self, feed: Feed | None) -> Result:
        tasks: set[asyncio.Task[None]] = set()
        feeding = set() if feed is None else {asyncio.ensure_future(feed(self._extend))}
        try:
            while feeding or not self.queue.is_done:
                may_start = not self.engine.draining.is_set() and not self.state.paused
                while may_start and len(tasks) < self.engine.concurrency and (item := self._next()) is not None:
                    tasks.add(asyncio.create_task(self._attempt(item)))
                if self.engine.draining.is_set() and not tasks:
                    break
                ended = await self._wait(tasks | feeding)
                tasks, feeding = tasks - ended, feeding - ended
        finally:
            for task in tasks | feeding:
                task.cancel()
            await asyncio.gather(*tasks, *feeding, return_exceptions=True)
        rows = sum(self.rows.values())
        return Result(frozenset(self.published), rows, tuple(self.set_aside), stopped=not self.queue.is_done)

    def _extend(self, plan: StreamPlan) -> None:
        place = next(index for index, each in enumerate(self.plans) if each.stream.key == plan.stream.key)
        self.plans[place] = plan
        self.missing[place] += plan.missing_blocks
        self.queue.add(place, apply_splits(plan.tasks, self.state.splits(plan.stream.key)))
        self._record_progress(place)
        self.extended.set()

    def _next(self) -> Item | None:
        return self.queue.start_next(self.engine.clock.monotonic())

    async def _wait(self, tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Wait until a task ends, ranges are added, a retry is due, the engine drains, or a pause has to be looked up.

        Returns the tasks that have ended.
        """
        self.extended.clear()
        due = self.queue.next_due()
        seconds = POLL_SECONDS if due is None else min(POLL_SECONDS, max(0.0, due - self.engine.clock.monotonic()))
        others = {
            asyncio.ensure_future(self.engine.clock.sleep(seconds)),
            asyncio.ensure_future(_until_set(self.extended)),
        }
        if not self.engine.draining.is_set():
            others.add(asyncio.ensure_future(_until_set(self.engine.draining)))
        try:
            await asyncio.wait(tasks | others, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        ended = {task for task in tasks if task.done()}
        for task in ended:
            task.result()  # a bug of the engine ends the run
        return ended

    async def _attempt(self, item: Item) -> None:
        stream = self.plans[item.place].stream
        before = self.state.failure(stream.key, item.blocks)
        number = 1 + (before.attempts if before else 0)
        task_id = str(uuid.uuid5(TASK_NAMESPACE, stream.dataset_version(item.blocks)))
        assignment = Assignment(task_id, number, stream.payload(item.blocks))
        self.state.started(RunningAttempt(task_id, number, stream.key, item.blocks, self.engine.clock.time()))
        with structlog.contextvars.bound_contextvars(**log_fields(assignment)):
            try:
                outcome = await self.engine.run_attempt(assignment)
            except Exception as crash:  # noqa: BLE001 - a bug with one range must not end the job
                log.exception("attempt.crashed")
                outcome = Failure(AttemptCrashed(kind=type(crash).__name__))
            self.state.ended(task_id, number)
            match outcome:
                case Success(written=written):
                    self.published.add((stream.key, item.blocks))
                    self.rows[item.place] += 0 if written is None else written.rows
                    self.size_bytes[item.place] += 0 if written is None else written.size_bytes
                    self.missing[item.place] -= item.blocks[1] - item.blocks[0]
                    self.state.forget_failure(stream.key, item.blocks)
                    self.queue.finish(item)
                case Failure(error):
                    self._failed(item, error, before)
        self._record_progress(item.place)

    def _failed(self, item: Item, error: IngestError, before: RangeFailure | None) -> None:
        """Split the range, set it aside, or try it again later."""
        name, key = type(error).__name__, self.plans[item.place].stream.key
        self.state.count_error(key, error=name, message=str(error), at=self.engine.clock.time())
        repeats = 1 + (before.repeats if before is not None and before.error == name else 0)
        attempts = 1 + (before.attempts if before else 0)
        parts = halves(item.blocks) if isinstance(error, CapExceeded | DeadlineExceeded) else None
        if parts is not None:
            log.warning("sync.range_split", error=name, message=str(error), parts=[f"{a}:{b}" for a, b in parts])
            self.state.split(key, item.blocks)
            self.state.forget_failure(key, item.blocks)
            self.queue.finish(item)
            self.queue.add(item.place, parts)
            return
        # A range that is not final yet, and a wrong clock or expired credentials, are no failures of the range.
        gave_up = repeats >= MOST_REPEATS and not isinstance(error, RangeNotFinal) and not error.hits_every_attempt
        is_set_aside = isinstance(error, FatalError) or gave_up
        now = self.engine.clock.time()
        self.state.failed(
            RangeFailure(key, item.blocks, attempts, repeats, name, str(error), now, set_aside=is_set_aside)
        )
        if is_set_aside:
            log.error("sync.range_set_aside", error=name, message=str(error), attempts=attempts)
            self.set_aside.append(SetAside(key, item.blocks, name, str(error)))
            self.queue.finish(item)
            if isinstance(error, OF_THE_STREAM):
                log.error("sync.stream_blocked", stream=key, error=name)
                self.queue.block(item.place)
            return
        pause = backoff_seconds(repeats, first_seconds=FIRST_PAUSE_SECONDS, longest_seconds=LONGEST_PAUSE_SECONDS)
        pause = jittered(pause, self.engine.random)
        log.warning(
            "sync.range_failed", error=name, message=str(error), attempts=attempts, delay_seconds=round(pause, 1)
        )
        self.queue.retry(item, at=self.engine.clock.monotonic() + pause)

    def _record_progress(self, place: int) -> None:
        plan = self.plans[place]
        own = [each.blocks[0] for each in self.set_aside if each.stream == plan.stream.key]
        next_block = min([self.queue.next_block(place, end=plan.target[1]), *own])
        now = self.engine.clock.time()
        missing = self.missing[place]
        written = (self.rows[place], self.size_bytes[place])
        self.state.set_progress(Progress(plan.stream.key, plan.blocks, missing, next_block, *written, now))


async def _until_set(event: asyncio.Event) -> None:
    await event.wait()
