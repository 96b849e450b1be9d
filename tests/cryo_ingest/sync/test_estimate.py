"""Estimates from samples, and prices."""

from pathlib import Path

import pytest

from cryo_ingest.errors import BadJob
from cryo_ingest.sync.estimate import Sample, estimate, fit_bytes, sample_ranges
from cryo_ingest.sync.prices import Prices, read_prices

FOOTER, ROW = 3000, 61


def growing(start: int, end: int) -> int:
    """Return the rows of some blocks on a chain whose blocks have one row per 50 blocks of height."""
    return sum(number // 50 for number in range(start, end))


def test_rows_and_bytes_of_a_growing_chain_are_estimated_within_a_hundredth():
    """The density is interpolated between the heights, and the footer of each file counts once."""
    tasks = [(start, start + 2000) for start in range(0, 40_000, 2000) if start != 6000]
    samples = [
        Sample(blocks, growing(*blocks), FOOTER + ROW * growing(*blocks)) for blocks in sample_ranges(tasks, size=200)
    ]
    found = estimate(tasks, samples)
    rows = sum(growing(*task) for task in tasks)
    assert found.rows == pytest.approx(rows, rel=0.01)
    assert found.size_bytes == pytest.approx(2 * len(tasks) * FOOTER + ROW * rows, rel=0.01)


def test_samples_lie_within_one_file_of_a_task():
    """They are spread over what is missing, and are not larger than it."""
    assert sample_ranges([(0, 10_000)], size=200) == [
        *((1000, 1200), (3000, 3050), (5000, 5200), (7000, 7050), (9000, 9200))
    ]
    assert sample_ranges([(5, 8)], size=200) == [(5, 8), (6, 8), (7, 8)]
    assert all(0 <= start < end <= 1150 for start, end in sample_ranges([(0, 50), (1000, 1150)], size=200))


def test_equal_samples_have_no_footer():
    """Nothing tells a footer from rows then."""
    assert fit_bytes([Sample((0, 9), 10, 100), Sample((20, 29), 10, 300)]) == (0, 20)
    assert fit_bytes([Sample((0, 9), 0, 100)]) == (100, 0)


def test_calls_cost_what_the_table_says(tmp_path: Path):
    """Methods that are not in the table cost `other`; without a table each call costs 1."""
    calls = {"eth_getLogs": 10, "eth_chainId": 3, "trace_block": 2}
    assert Prices().of(calls) == 15
    (tmp_path / "prices.yaml").write_text("eth_getLogs: 75\neth_chainId: 0\nother: 20.5\n")
    assert read_prices(tmp_path / "prices.yaml").of(calls) == 791


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("eth_getLogs: -1", "line 1: eth_getLogs: must be a number of credits, 0 or more"),
        ("a: 1\neth_getLogs: {x: 1}", "line 2: eth_getLogs: must be a number of credits, 0 or more"),
        ("a: 1\na: 2", "line 2: a: repeats line 1"),
        ("- 1", "line 1: the file: must be a mapping (`name: value` lines)"),
        ("", "is empty; docs/sync.md has an example"),
        ("a: [", "line 1, column 5: is not YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_mistakes_of_a_table_are_named_with_their_line(tmp_path: Path, text: str, problem: str):
    """As those of a job."""
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(BadJob) as caught:
        read_prices(tmp_path / "prices.yaml")
    assert caught.value.problems == (problem,)
    with pytest.raises(BadJob, match="No such file"):
        read_prices(tmp_path / "none.yaml")
