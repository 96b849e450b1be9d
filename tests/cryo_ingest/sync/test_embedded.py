"""The embedded engine on virtual time: which ranges it starts, what it tries again, and what it gives up."""

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from support.jobs import make_stream
from support.virtual_loop import LoopClock, run_virtually

from cryo_ingest.attempt import Failure, Outcome, Success, Written
from cryo_ingest.errors import (
    CapExceeded,
    ClockSkewed,
    DeadlineExceeded,
    IngestError,
    MachineFailed,
    RpcPoolUnresolved,
    StoreUnavailable,
    UnexpectedSchema,
)
from cryo_ingest.model import Assignment, Publication, StorageRef, parse_task
from cryo_ingest.sync.embedded import EmbeddedEngine
from cryo_ingest.sync.engine import Result
from cryo_ingest.sync.plan import plan_stream
from cryo_ingest.sync.published import Published
from cryo_ingest.sync.state import State

Blocks = tuple[int, int]
Answer = Callable[[str, Blocks, int], IngestError | None]
"""Returns the error of a stream's range at its n-th attempt, None for success."""

UNAVAILABLE = StoreUnavailable(operation="put", key="k", reason="503")
TOO_LARGE = CapExceeded(variable="MAX_PARQUET_FILES_PER_RANGE", limit=1, actual=2, block_range="0:2000")


class Attempts:
    """A double of `run_attempt`: each attempt takes 10 s; records what runs at the same time."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.started: list[tuple[str, Blocks, float]] = []
        self.numbers: dict[tuple[str, Blocks], list[int]] = {}
        self.running: Counter[str] = Counter()
        self.most_running: Counter[str] = Counter()

    async def __call__(self, assignment: Assignment) -> Outcome:
        """Answer one attempt."""
        task = parse_task(assignment.payload)
        key, blocks = task.dataset_key, (task.range_start, task.range_end)
        self.started.append((key, blocks, LoopClock().monotonic()))
        self.numbers.setdefault((key, blocks), []).append(assignment.attempt)
        self.running.update([key, "all"])
        self.most_running |= self.running
        await LoopClock().sleep(10)
        self.running.subtract([key, "all"])
        error = self.answer(key, blocks, len(self.numbers[key, blocks]))
        if error is not None:
            return Failure(error)
        reference = StorageRef("file", None, "/p/")
        return Success(Publication(task.dataset_uuid, "v", reference, task.config_hash, *blocks), Written(7, "rows"))


def run(
    folder: Path,
    answer: Answer,
    *,
    end: int = 4000,
    concurrency: int = 8,
    before: Callable[[EmbeddedEngine], None] | None = None,
) -> tuple[Result, Attempts, State]:
    """Run blocks (2,000 a task, one at a time) and logs (1,000 a task, two at a time) to the end."""
    state = State(folder)
    attempts = Attempts(answer)
    engine = EmbeddedEngine(attempts, state, LoopClock(), Random(0), concurrency)
    streams = [make_stream("blocks", chunk_size=2000, max_inflight=1), make_stream("logs", max_inflight=2)]
    plans = [plan_stream(stream, Published(), target=(0, end)) for stream in streams]

    async def main() -> Result:
        if before is not None:
            before(engine)
        return await engine.run(plans)

    return run_virtually(main()), attempts, state


def succeed(_key: str, _blocks: Blocks, _number: int) -> None:
    return None


def test_all_ranges_are_published_once_lowest_blocks_first(tmp_path: Path):
    """Both streams advance together, and none exceeds its `max_inflight`."""
    result, attempts, state = run(tmp_path, succeed)
    assert [(key, blocks) for key, blocks, _ in attempts.started] == [
        ("blocks", (0, 2000)),
        ("logs", (0, 1000)),
        ("logs", (1000, 2000)),
        ("blocks", (2000, 4000)),
        ("logs", (2000, 3000)),
        ("logs", (3000, 4000)),
    ]
    assert attempts.most_running == {"blocks": 1, "logs": 2, "all": 3}
    assert (len(result.published), result.rows, result.set_aside, result.stopped) == (6, 42, (), False)
    progress = state.progress()["logs"]
    assert (progress.missing_blocks, progress.next_block, progress.rows) == (0, 4000, 28)
    assert state.running() == []


def test_the_number_of_attempts_is_bounded_over_all_streams(tmp_path: Path):
    """Each attempt is a process."""
    _, attempts, _ = run(tmp_path, succeed, concurrency=2)
    assert attempts.most_running["all"] == 2


def test_a_retryable_error_is_tried_again_after_a_growing_pause(tmp_path: Path):
    """Other ranges go on meanwhile, but the range still counts as unfinished."""
    result, attempts, state = run(
        tmp_path, lambda _key, blocks, number: UNAVAILABLE if blocks == (0, 2000) and number < 4 else None
    )
    times = [at for key, blocks, at in attempts.started if blocks == (0, 2000)]
    pauses = [later - earlier - 10 for earlier, later in pairwise(times)]
    assert [2.5 <= pauses[0] <= 5, 5 <= pauses[1] <= 10, 10 <= pauses[2] <= 20] == [True] * 3, pauses
    assert attempts.numbers["blocks", (0, 2000)] == [1, 2, 3, 4]
    assert attempts.most_running["blocks"] == 1
    assert (len(result.published), state.failures()) == (6, [])


def test_a_fatal_error_sets_the_range_aside_and_the_rest_goes_on(tmp_path: Path):
    """The cursor stays at the range."""
    broken = UnexpectedSchema(file="f", dataset="blocks", differences=["x"], executable="cryo")
    result, attempts, state = run(tmp_path, lambda _key, blocks, _number: broken if blocks == (0, 2000) else None)
    assert [(each.stream, each.blocks, each.error) for each in result.set_aside] == [
        ("blocks", (0, 2000), "UnexpectedSchema")
    ]
    assert len(result.published) == 5
    assert len(attempts.numbers["blocks", (0, 2000)]) == 1
    assert (state.progress()["blocks"].next_block, state.failures()[0].set_aside) == (0, True)


def test_another_error_in_between_starts_the_count_again(tmp_path: Path):
    """Ten failures for the same reason are in a row."""
    other = MachineFailed(reason="no memory")

    def fail(key: str, _blocks: Blocks, number: int) -> IngestError | None:
        return None if key == "blocks" else other if number == 5 else UNAVAILABLE

    result, attempts, _ = run(tmp_path, fail, end=1000)
    assert attempts.numbers["logs", (0, 1000)] == list(range(1, 16))
    assert [each.error for each in result.set_aside] == ["StoreUnavailable"]


@pytest.mark.parametrize(("count", "set_aside"), [(9, 0), (10, 1)])
def test_nine_times_the_same_error_is_no_reason_to_give_up(tmp_path: Path, count: int, set_aside: int):
    """The tenth one is."""
    result, attempts, _ = run(
        tmp_path, lambda key, _blocks, number: UNAVAILABLE if key == "logs" and number <= count else None, end=1000
    )
    assert len(result.set_aside) == set_aside
    assert len(attempts.numbers["logs", (0, 1000)]) == 10


def test_what_every_attempt_on_this_machine_would_get_is_tried_without_an_end(tmp_path: Path):
    """A wrong clock does not count as a failure of the range."""
    skewed = ClockSkewed(difference_seconds=3600)
    result, _, _ = run(tmp_path, lambda _key, _blocks, number: skewed if number <= 15 else None, end=1000)
    assert (len(result.published), result.set_aside) == (2, ())


@pytest.mark.parametrize("error", [TOO_LARGE, DeadlineExceeded(deadline_seconds=1, progress="p")])
def test_a_range_that_is_too_large_is_split_and_stays_split(tmp_path: Path, error: IngestError):
    """The halves lie between two files; a later run does not try the whole range again."""

    def too_large(_key: str, blocks: Blocks, _number: int) -> IngestError | None:
        return error if blocks[1] - blocks[0] > 500 else None

    result, attempts, _ = run(tmp_path, too_large, end=2000)
    assert ("blocks", (0, 1000)) in attempts.numbers
    assert {blocks for key, blocks in result.published if key == "blocks"} == {
        *((0, 500), (500, 1000), (1000, 1500), (1500, 2000))
    }
    _, again, _ = run(tmp_path, too_large, end=2000)
    assert ("blocks", (0, 2000)) not in again.numbers


def test_a_single_block_that_is_too_large_is_set_aside(tmp_path: Path):
    """It can't be split."""
    result, _, _ = run(tmp_path, lambda _key, _blocks, _number: TOO_LARGE, end=1)
    assert [each.blocks for each in result.set_aside] == [(0, 1), (0, 1)]


def test_an_error_of_the_stream_blocks_it_and_no_other(tmp_path: Path):
    """Thousands of ranges must not each report the same missing variable."""
    missing = RpcPoolUnresolved(pool_variable="A", default_variable="B")
    result, attempts, _ = run(tmp_path, lambda key, _blocks, _number: missing if key == "blocks" else None)
    assert [blocks for key, blocks in attempts.numbers if key == "blocks"] == [(0, 2000)]
    assert len(result.published) == 4
    assert not result.stopped


def test_a_bug_in_an_attempt_is_a_retryable_error(tmp_path: Path):
    """The job goes on."""

    def crash_once(_key: str, _blocks: Blocks, number: int) -> None:
        if number == 1:
            raise ZeroDivisionError

    result, _, _ = run(tmp_path, crash_once, end=1000)
    assert len(result.published) == 2


def test_draining_ends_after_the_running_attempts(tmp_path: Path):
    """No new attempt starts."""
    result, attempts, _ = run(
        tmp_path, succeed, before=lambda engine: asyncio.get_running_loop().call_later(5, engine.draining.set)
    )
    assert (len(attempts.started), len(result.published), result.stopped) == (3, 3, True)


def test_a_paused_job_starts_nothing_until_it_is_resumed(tmp_path: Path):
    """Another process writes the pause and the resumption."""
    other = State(tmp_path)
    other.set_fact("paused", "yes")

    def resume_later(_engine: EmbeddedEngine) -> None:
        asyncio.get_running_loop().call_later(60, other.set_fact, "paused", "no")

    result, attempts, _ = run(tmp_path, succeed, before=resume_later)
    assert 1060 <= attempts.started[0][2] <= 1062
    assert len(result.published) == 6
