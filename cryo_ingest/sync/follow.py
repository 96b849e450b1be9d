"""Plans the ranges of a job that follows the head: reads the head of each pool, and plans what has become final.

Nothing is planned if the head is missing or too old. A range shorter than `chunk_size` is planned only if its first
block has waited for `max_wait_seconds`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest.errors import IngestError
from cryo_ingest.logs import log
from cryo_ingest.sync.plan import StreamPlan, plan_stream
from cryo_ingest.sync.state import HeadRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryo_ingest.ports import Clock
    from cryo_ingest.sync.derived import Blocks, DerivedStream
    from cryo_ingest.sync.engine import Extend
    from cryo_ingest.sync.head import Head, HeadReader
    from cryo_ingest.sync.job import FollowHead
    from cryo_ingest.sync.published import Published
    from cryo_ingest.sync.reorgs import ReorgDetector
    from cryo_ingest.sync.state import State


@dataclass(slots=True)
class FollowedStream:
    """A stream and how far it is planned; `planned_end` never moves back.

    `published` is the listing at the start, and `planned_blocks` the number of blocks in tasks since then. `tail` is
    the first block of a short range that waits, and since when.
    """

    stream: DerivedStream
    published: Published
    planned_end: int
    planned_blocks: int = 0
    tail: tuple[int, float] | None = None

    def next_tasks(self, end: int, *, now: float, max_wait_seconds: float | None) -> tuple[Blocks, ...]:
        """Return the tasks for the blocks from `planned_end` to `end`."""
        if end <= self.planned_end:
            return ()
        tasks = plan_stream(self.stream, self.published, target=(self.planned_end, end)).tasks
        if not tasks or not self._is_short(tasks[-1], end):
            self.tail = None
            return tasks
        start = tasks[-1][0]
        if self.tail is None or self.tail[0] != start:
            self.tail = (start, now)
        has_waited = max_wait_seconds is not None and now - self.tail[1] >= max_wait_seconds
        return tasks if has_waited else tasks[:-1]

    def planned(self, tasks: Sequence[Blocks], end: int) -> int:
        """Return the planned end after these tasks: the first block of a short range that was left out, or `end`."""
        if end <= self.planned_end:
            return self.planned_end
        waits = self.tail is not None and (not tasks or tasks[-1][0] != self.tail[0])
        return self.tail[0] if self.tail is not None and waits else end

    def _is_short(self, task: Blocks, end: int) -> bool:
        """Return whether a task only ends at `end` because the head is there; one that was begun keeps its blocks."""
        is_begun = task in self.published.unfinished
        return task[1] == end and task[1] - task[0] < self.stream.stream.chunk_size and not is_begun


@dataclass(slots=True)
class Follower:
    """Plans ranges as the head of each pool moves.

    With `confirmations`, a block may be planned if the head is at least that many blocks above it; otherwise the node's
    last final block decides, or without one `tail_lag`.
    """

    mode: FollowHead
    streams: Sequence[FollowedStream]
    heads: HeadReader
    reorgs: ReorgDetector
    state: State
    clock: Clock
    confirmations: int | None = None
    _last: dict[str, tuple[Head, float, float]] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> dict[str, str]:
        """Why nothing is planned now, by pool."""
        return dict(self._problems)

    @property
    def pools(self) -> list[str]:
        """The pools of all streams, each once."""
        return list(dict.fromkeys(each.stream.stream.rpc_pool for each in self.streams))

    async def follow(self, extend: Extend) -> None:
        """Plan until cancelled, each pool at its own pace: one that does not answer must not stop the others."""
        async with asyncio.TaskGroup() as group:
            for pool in self.pools:
                group.create_task(self._follow(pool, extend))

    async def plan_once(self, extend: Extend) -> None:
        """Read each pool's head once, and plan."""
        await asyncio.gather(*(self._plan(pool, extend) for pool in self.pools))

    async def _follow(self, pool: str, extend: Extend) -> None:
        while True:
            await self._plan(pool, extend)
            await self.clock.sleep(self.mode.head_poll_interval_seconds)

    async def _plan(self, pool: str, extend: Extend) -> None:
        """Read the head of a pool and plan its streams; with an error nothing is planned."""
        problem = None
        try:
            self._last[pool] = (await self.heads.head(pool), self.clock.monotonic(), self.clock.time())
        except IngestError as error:
            problem = str(error)
        end = self._eligible_end(pool)
        if end is None:
            problem = self._too_old(pool, problem)
        else:
            problem = None
            try:
                await self._plan_streams(pool, end, extend)
            except IngestError as error:
                problem = str(error)
        self._record(pool, problem)

    async def _plan_streams(self, pool: str, end: int, extend: Extend) -> None:
        now = self.clock.monotonic()
        plans = []
        for each in self.streams:
            if each.stream.stream.rpc_pool == pool:
                tasks = each.next_tasks(end, now=now, max_wait_seconds=self.mode.max_wait_seconds)
                planned_end = each.planned(tasks, end)
                target = (self.mode.from_block, planned_end)
                plans.append((each, StreamPlan(each.stream, target, each.published, tasks)))
        ends = {plan.target[1] for each, plan in plans if plan.target[1] > each.planned_end}
        await self.reorgs.check(pool, head=self._last[pool][0].number, ends=ends)
        for each, plan in plans:
            if plan.target[1] > each.planned_end:
                each.planned_end = plan.target[1]
                each.planned_blocks += plan.missing_blocks
                extend(plan)

    def _eligible_end(self, pool: str) -> int | None:
        """Return the end of the blocks that may be planned; None without a head, or with one that is too old."""
        if pool not in self._last:
            return None
        head, read_at, _ = self._last[pool]
        if self.clock.monotonic() - read_at > self.mode.max_head_age_seconds:
            return None
        return self.mode.eligible_end(head.number, final=head.final, confirmations=self.confirmations or 0)

    def _too_old(self, pool: str, problem: str | None) -> str:
        why = f": {problem}" if problem else ""
        if pool not in self._last:
            return f"the head is not known{why}"
        age = self.clock.monotonic() - self._last[pool][1]
        return f"the head was read {age:.0f} s ago, at most {self.mode.max_head_age_seconds:g} s are allowed{why}"

    def _record(self, pool: str, problem: str | None) -> None:
        head, _, at = self._last.get(pool, (None, None, None))
        number, final = (None, None) if head is None else (head.number, head.final)
        self.state.set_head(HeadRecord(pool, number, final, self._eligible_end(pool), at, problem))
        if problem is None and self._problems.pop(pool, None) is not None:
            log.info("sync.head_read", pool=pool, head=number)
        elif problem is not None:
            if pool not in self._problems:
                log.warning("sync.head_unavailable", pool=pool, message=problem)
            self._problems[pool] = problem
