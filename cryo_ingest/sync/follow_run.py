"""Runs a job that follows the head, until it is stopped, or once until nothing more can be planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.sync.derived import derive_streams
from cryo_ingest.sync.follow import FollowedStream, Follower
from cryo_ingest.sync.plan import StreamPlan
from cryo_ingest.sync.published import list_published
from cryo_ingest.sync.reorgs import ReorgDetector
from cryo_ingest.sync.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryo_ingest.ports import Clock, ObjectStore
    from cryo_ingest.sync.engine import Engine, Result
    from cryo_ingest.sync.head import HeadReader
    from cryo_ingest.sync.job import FollowHead, Job
    from cryo_ingest.sync.state import State


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """What to follow; with `once` until nothing more can be planned. `confirmations`: see `follow.Follower`."""

    job: Job
    mode: FollowHead
    org_id: str
    confirmations: int | None
    once: bool


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What following the head needs besides the engine."""

    state: State
    store: ObjectStore
    heads: HeadReader
    clock: Clock


async def follow_head(request: FollowRequest, *, engine: Engine, ports: Collaborators) -> Summary:
    """List the store, then plan and run ranges; return what was done.

    Raises:
        IngestError: the store failed while it was listed.
    """
    mode = request.mode
    streams = [
        FollowedStream(stream, await list_published(ports.store, stream), mode.from_block)
        for stream in derive_streams(request.job, org_id=request.org_id)
    ]
    reorgs = ReorgDetector(ports.heads, ports.state, ports.clock, mode.from_block)
    follower = Follower(mode, streams, ports.heads, reorgs, ports.state, ports.clock, request.confirmations)
    results = await (_run_once(follower, engine) if request.once else _run(follower, engine))
    problems = [f"pool {pool}: {problem}" for pool, problem in follower.problems.items()] if request.once else []
    if reorgs.found:
        problems.append("a reorg replaced blocks that were planned; `cryo-ingest status` has the ranges")
    rows = [_row(each, mode.from_block, results) for each in streams]
    return Summary.of(request.job.name, rows, results, problems=problems, follows=True)


async def _run(follower: Follower, engine: Engine) -> list[Result]:
    return [await engine.run(_start(follower), feed=follower.follow)]


async def _run_once(follower: Follower, engine: Engine) -> list[Result]:
    """Plan and run until a reading of the heads adds nothing: the chain has moved on meanwhile."""
    results: list[Result] = []
    while True:
        before = [each.planned_blocks for each in follower.streams]
        results.append(await engine.run(_start(follower), feed=follower.plan_once))
        if results[-1].stopped or before == [each.planned_blocks for each in follower.streams]:
            return results


def _start(follower: Follower) -> list[StreamPlan]:
    """Return plans without tasks, with what is published or planned already as their targets."""
    plans = []
    for each in follower.streams:
        end = max(each.planned_end, max((end for _, end in each.published.complete), default=0))
        plans.append(StreamPlan(each.stream, (follower.mode.from_block, end), each.published, ()))
    return plans


def _row(each: FollowedStream, from_block: int, results: Sequence[Result]) -> tuple[str, int, int]:
    key = each.stream.key
    published = sum(end - start for result in results for name, (start, end) in result.published if name == key)
    return key, each.planned_end - from_block, each.planned_blocks - published
