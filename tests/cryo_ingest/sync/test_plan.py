"""Plans: each missing block is in one task, and what an attempt began is planned as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import make_stream

from cryo_ingest.sync.plan import gaps, in_block_order, plan_stream
from cryo_ingest.sync.published import Published

RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=8
).map(lambda ranges: tuple(sorted(ranges)))


def test_an_empty_store_gets_ranges_from_the_first_block_and_a_short_last_one():
    """Ranges are `[cursor, min(cursor + chunk_size, to_block))`."""
    plan = plan_stream(make_stream(chunk_size=1500), Published(), target=(10, 3510))
    assert plan.tasks == ((10, 1510), (1510, 3010), (3010, 3510))
    assert (plan.blocks, plan.missing_blocks, plan.missing_files, plan.next_block) == (3500, 3500, 5, 10)


def test_a_published_target_has_no_tasks_and_its_cursor_is_the_end():
    """Planning again after everything is published makes no task."""
    plan = plan_stream(make_stream(), Published(((0, 1000), (1000, 2000))), target=(0, 2000))
    assert (plan.tasks, plan.missing_blocks, plan.next_block) == ((), 0, 2000)


def test_after_another_chunk_size_ranges_continue_where_the_published_ones_end():
    """As with the platform's cursor, a changed `chunk_size` applies from there."""
    plan = plan_stream(make_stream(chunk_size=1500), Published(((0, 1000),)), target=(0, 4000))
    assert plan.tasks == ((1000, 2500), (2500, 4000))


def test_a_range_that_an_attempt_began_is_planned_as_it_is():
    """Its files stay below its own prefix, which only the same range completes."""
    published = Published(((0, 1000),), unfinished=((500, 900), (1500, 2000), (1600, 1900), (9000, 9999)))
    plan = plan_stream(make_stream(chunk_size=1000), published, target=(0, 3000))
    assert plan.tasks == ((1000, 1500), (1500, 2000), (2000, 3000))


@given(RANGES, RANGES, st.integers(1, 15))
def test_each_missing_block_is_in_one_task_and_no_other_block_is(
    complete: tuple[tuple[int, int], ...], begun: tuple[tuple[int, int], ...], size: int
):
    """Whatever is in the store, published and planned ranges cover the target, and no task has a published block."""
    target = (5, 70)
    plan = plan_stream(make_stream(chunk_size=size), Published(complete, begun), target=target)
    planned = [block for start, end in plan.tasks for block in range(start, end)]
    covered = {block for start, end in complete for block in range(start, end)}
    assert planned == sorted(set(range(*target)) - covered)
    assert all(task in begun or task[1] - task[0] <= size for task in plan.tasks)


@pytest.mark.parametrize(
    ("covered", "expected"), [((), [(5, 9)]), (((0, 20),), []), (((0, 6), (7, 8)), [(6, 7), (8, 9)])]
)
def test_gaps_are_inside_the_target(covered: tuple[tuple[int, int], ...], expected: list[tuple[int, int]]):
    """Published ranges may begin before the target and end after it."""
    assert list(gaps(covered, target=(5, 9))) == expected


def test_the_lowest_blocks_of_all_streams_come_first():
    """All datasets advance together, whatever the size of their ranges."""
    plans = [
        plan_stream(make_stream("blocks", chunk_size=2000), Published(), target=(0, 4000)),
        plan_stream(make_stream("logs", chunk_size=1000), Published(), target=(0, 3000)),
    ]
    assert [(stream.key, blocks) for stream, blocks in in_block_order(plans)] == [
        ("blocks", (0, 2000)),
        ("logs", (0, 1000)),
        ("logs", (1000, 2000)),
        ("blocks", (2000, 4000)),
        ("logs", (2000, 3000)),
    ]
