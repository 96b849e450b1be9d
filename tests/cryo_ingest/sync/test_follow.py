"""A job that follows the head, on virtual time: what is planned when, and when nothing is."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from support.heads import FakeHeads
from support.jobs import keys_of, listing
from support.virtual_loop import LoopClock, run_virtually

from cryo_ingest.attempt import Outcome, Success, Written
from cryo_ingest.model import Assignment, Publication, StorageRef, parse_task
from cryo_ingest.ports import StoredObject
from cryo_ingest.sync.derived import DerivedStream, dataset_uuid
from cryo_ingest.sync.embedded import EmbeddedEngine
from cryo_ingest.sync.follow_run import Collaborators, FollowRequest, follow_head
from cryo_ingest.sync.head import Head
from cryo_ingest.sync.job import FollowHead, Job, Stream
from cryo_ingest.sync.state import State
from cryo_ingest.sync.summary import Summary

Blocks = tuple[int, int]
MODE = FollowHead(from_block=0, tail_lag=5, head_poll_interval_seconds=10, max_head_age_seconds=60)


class Listing:
    """The part of an object store that following needs."""

    def __init__(self, stored: Mapping[str, StoredObject]) -> None:
        self.stored = stored

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """Return the keys below a prefix."""
        return {key: value for key, value in self.stored.items() if key.startswith(prefix)}


@dataclass
class World:
    """A chain, a store, and what was published at which time."""

    folder: Path
    heads: FakeHeads
    mode: FollowHead = MODE
    stored: dict[str, StoredObject] = field(default_factory=dict)
    published: list[tuple[str, Blocks, float]] = field(default_factory=list)
    confirmations: int | None = None
    concurrency: int = 8
    pools: tuple[str, ...] = ("a",)

    @property
    def job(self) -> Job:
        """Return a job with a stream of 100 blocks a task for each pool."""
        streams = [Stream(f"blocks_{pool}", "blocks", pool, chunk_size=100, max_inflight=4) for pool in self.pools]
        return Job("head", 31337, self.mode, tuple(streams))

    @property
    def ranges(self) -> list[Blocks]:
        """Return the published ranges in order of publication."""
        return [blocks for _, blocks, _ in self.published]

    async def attempt(self, assignment: Assignment) -> Outcome:
        """Publish a range."""
        await LoopClock().sleep(1)
        task = parse_task(assignment.payload)
        blocks = (task.range_start, task.range_end)
        self.published.append((task.dataset_key, blocks, LoopClock().monotonic() - 1000))
        reference = StorageRef("file", None, "/p/")
        return Success(Publication(task.dataset_uuid, "v", reference, task.config_hash, *blocks), Written(7, "rows"))

    def follow(self, *steps: tuple[float, Callable[[], object]], once: bool = False) -> Summary:
        """Follow the head; each step is called at its time, and a second after the last one the sync is stopped."""
        state = State(self.folder)
        engine = EmbeddedEngine(self.attempt, state, LoopClock(), Random(0), self.concurrency)
        request = FollowRequest(self.job, self.mode, "local", self.confirmations, once)
        ports = Collaborators(state, Listing(self.stored), self.heads, LoopClock())  # type: ignore[arg-type]

        async def main() -> Summary:
            for at, step in steps:
                asyncio.get_running_loop().call_later(at, step)
            if steps:
                asyncio.get_running_loop().call_later(steps[-1][0] + 1, engine.draining.set)
            return await follow_head(request, engine=engine, ports=ports)

        return run_virtually(main())

    def state(self) -> State:
        """Return the state as another process reads it."""
        return State(self.folder)


def move(heads: FakeHeads, number: int, final: int | None = None) -> Callable[[], None]:
    """Return a step that moves the head."""

    def step() -> None:
        heads.current = Head(number, final)

    return step


def nothing() -> None:
    """Do nothing: a step that only prolongs the sync."""


def test_the_tail_below_the_head_is_not_planned(tmp_path: Path):
    """The eligible end is `head + 1 - tail_lag`; only complete chunks are planned."""
    heads = FakeHeads(203)
    world = World(tmp_path, heads)
    world.follow((12, nothing), (15, move(heads, 204)), (35, nothing))
    assert world.ranges == [(0, 100), (100, 200)]
    first, second = (at for _, _, at in world.published)
    assert first <= 2
    assert 20 <= second <= 22


def test_a_final_block_is_preferred_to_the_lag(tmp_path: Path):
    """`tail_lag` is only for nodes without finality."""
    world = World(tmp_path, FakeHeads(1000, final=99))
    world.follow((15, nothing))
    assert world.ranges == [(0, 100)]


def test_confirmations_of_attempts_are_kept(tmp_path: Path):
    """An attempt would refuse a range that has fewer."""
    world = World(tmp_path, FakeHeads(210), confirmations=11)
    world.follow((15, nothing))
    assert world.ranges == [(0, 100), (100, 200)]
    world = World(tmp_path / "more", FakeHeads(210), confirmations=12)
    world.follow((15, nothing))
    assert world.ranges == [(0, 100)]


def test_nothing_is_planned_without_a_head(tmp_path: Path):
    """It fails closed, and the state says why; another pool goes on."""
    heads = FakeHeads(1000)
    heads.down = {"a"}
    world = World(tmp_path, heads, pools=("a", "b"))
    world.follow((15, nothing))
    assert {key for key, _, _ in world.published} == {"blocks_b"}
    record = world.state().heads()["a"]
    assert (record.head, record.end) == (None, None)
    assert record.problem is not None
    assert record.problem.startswith("the head is not known: endpoint 1 of 1")
    heads.down = set()
    world.follow((15, nothing))
    assert {key for key, _, _ in world.published} == {"blocks_a", "blocks_b"}


def test_an_old_head_plans_nothing_until_it_is_read_again(tmp_path: Path):
    """After `max_head_age_seconds` without a reading nothing is planned, not even a short range that has waited."""
    heads = FakeHeads(150)
    mode = FollowHead(0, 0, 10, 60, max_wait_seconds=75)
    world = World(tmp_path, heads, mode)
    world.follow((15, lambda: heads.down.add("a")), (95, nothing))
    assert world.ranges == [(0, 100)]
    problem = world.state().heads()["a"].problem
    assert problem is not None
    assert problem.startswith("the head was read 80 s ago, at most 60 s are allowed: ")
    heads.down = set()
    world.follow((5, nothing))
    assert world.state().heads()["a"].problem is None


def test_a_short_range_is_planned_only_after_its_wait(tmp_path: Path):
    """Without `max_wait_seconds` it never is; afterwards ranges continue from its end."""
    heads = FakeHeads(149)
    world = World(tmp_path, heads, FollowHead(0, 0, 10, 60, max_wait_seconds=30))
    world.follow((29, nothing), (35, move(heads, 249)), (55, nothing))
    assert world.ranges == [(0, 100), (100, 150), (150, 250)]
    assert [29 <= at <= 32 for _, _, at in world.published] == [False, True, False]
    patient = World(tmp_path / "patient", FakeHeads(149), MODE)
    patient.follow((500, nothing))
    assert patient.ranges == [(0, 100)]


def test_a_restart_plans_only_what_is_missing(tmp_path: Path):
    """The listing decides, also about a hole; a range that was begun keeps its blocks."""
    heads = FakeHeads(549)
    world = World(tmp_path, heads, FollowHead(0, 0, 10, 60))
    uuid = dataset_uuid("local", 31337, "blocks_a")
    own = DerivedStream(world.job.streams[0], 31337, uuid, "cryo_ingest.blocks:v1")
    keys = [key for blocks in ((0, 100), (200, 300)) for key in keys_of(own, blocks)]
    world.stored = listing(*keys, *keys_of(own, (500, 540))[:-1])
    world.follow((15, nothing))
    assert sorted(world.ranges) == [(100, 200), (300, 400), (400, 500), (500, 540)]


def test_a_head_that_moves_back_moves_no_cursor(tmp_path: Path):
    """A pool may answer from a node that lags."""
    heads = FakeHeads(505)
    world = World(tmp_path, heads)
    world.follow((15, move(heads, 300)), (35, move(heads, 610)), (55, nothing))
    assert world.ranges == [(start, start + 100) for start in range(0, 600, 100)]
    assert world.state().reorgs() == []


def test_a_reorg_below_the_planned_end_is_reported(tmp_path: Path):
    """The parent of the block after a range is not the range's last block; the chain up to the last equal one holds."""
    heads = FakeHeads(205)
    world = World(tmp_path, heads)
    end = world.follow(
        (15, move(heads, 305)), (35, move(heads, 405)), (55, lambda: heads.reorganise(250)), (75, nothing)
    )
    assert [(each.pool, each.blocks) for each in world.state().reorgs()] == [("a", (200, 400))]
    assert end.exit_code(None) == 1
    assert end.problems
    assert world.ranges == [(start, start + 100) for start in range(0, 400, 100)]
    again = world.follow((15, nothing))
    assert len(world.state().reorgs()) == 1
    assert again.problems == ()


def test_a_reorg_while_no_sync_ran_is_reported_by_the_next_one(tmp_path: Path):
    """The hashes are in the state."""
    heads = FakeHeads(205)
    world = World(tmp_path, heads)
    world.follow((15, nothing))
    heads.reorganise(150)
    move(heads, 305)()
    world.follow((15, nothing))
    assert [each.blocks for each in world.state().reorgs()] == [(0, 200)]


def test_a_reorg_above_the_planned_end_is_none_of_the_jobs(tmp_path: Path):
    """Only blocks that were planned matter."""
    heads = FakeHeads(205)
    world = World(tmp_path, heads)
    world.follow((15, lambda: heads.reorganise(200)), (25, move(heads, 305)), (45, nothing))
    assert world.state().reorgs() == []
    assert len(world.ranges) == 3


def test_once_ends_when_nothing_more_can_be_planned(tmp_path: Path):
    """The head is read again after each run; without a head the exit code is 1."""
    heads = FakeHeads(205)
    world = World(tmp_path, heads, concurrency=1)

    async def attempt(assignment: Assignment) -> Outcome:
        move(heads, 405)()
        return await World.attempt(world, assignment)

    world.attempt = attempt  # type: ignore[method-assign]
    end = world.follow(once=True)
    assert world.ranges == [(start, start + 100) for start in range(0, 400, 100)]
    assert (end.exit_code(None), [(each.blocks, each.missing, each.ranges_now) for each in end.streams]) == (
        0,
        [(400, 0, 4)],
    )
    heads.down = {"a"}
    assert World(tmp_path, heads).follow(once=True).exit_code(None) == 1


@pytest.mark.parametrize("seed", range(20))
def test_no_block_is_lost_or_planned_twice(tmp_path: Path, seed: int):
    """Whatever the head does and when the sync is restarted, ranges are adjacent and below the eligible end."""
    random = Random(seed)
    heads = FakeHeads(0)
    world = World(tmp_path, heads, FollowHead(0, 3, 10, 60, max_wait_seconds=random.choice([None, 15.0, 40.0])))
    highest = 0
    for _ in range(4):
        steps: list[tuple[float, Callable[[], object]]] = []
        for at in range(10, 200, 10):
            number = max(0, highest + random.randrange(-20, 60))
            highest = max(highest, number)
            steps.append((at, move(heads, number)))
            steps.append((at + 1, (lambda: heads.down.add("a")) if random.random() < 0.2 else heads.down.clear))
        world.follow(*steps)
        _store(world)
    ranges = sorted(world.ranges)
    assert ranges[0][0] == 0
    assert all(left[1] == right[0] for left, right in pairwise(ranges))
    assert ranges[-1][1] <= highest + 1 - 3


def _store(world: World) -> None:
    uuid = dataset_uuid("local", 31337, "blocks_a")
    own = DerivedStream(world.job.streams[0], 31337, uuid, "cryo_ingest.blocks:v1")
    world.stored = listing(*(key for blocks in world.ranges for key in keys_of(own, blocks)))
