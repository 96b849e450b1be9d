"""Job files: the platform's form is accepted to the letter, and every mistake is named with its line."""

from pathlib import Path

import pytest

from cryo_ingest.errors import BadJob
from cryo_ingest.sync.job import FixedTarget, FollowHead, Job, Stream
from cryo_ingest.sync.job_file import MAX_BYTES, parse_job, read_job

EXAMPLE = Path(__file__).resolve().parents[3] / "fixtures" / "jobs" / "monad_bootstrap.yaml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
FOLLOW = TEXT.replace("kind: fixed_target ", "kind: follow_head").replace(
    "  to_block: 46000000", "  tail_lag: 12\n  head_poll_interval_seconds: 2.5\n  max_head_age_seconds: 60"
)


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(BadJob) as caught:
        parse_job(text if isinstance(text, bytes) else text.encode(), name="job.yaml")
    return list(caught.value.problems)


def test_the_platforms_example_is_read_to_the_letter():
    """Every field of the reference's example has its value."""
    assert read_job(EXAMPLE) == Job(
        name="monad_bootstrap",
        chain_id=143,
        mode=FixedTarget(from_block=0, to_block=46_000_000),
        streams=(
            Stream("blocks", "blocks", "standard", chunk_size=5000, max_inflight=20),
            Stream("geth_calls", "geth_calls", "traces", chunk_size=5000, max_inflight=20),
        ),
    )


def test_a_job_can_follow_the_head():
    """`follow_head` has three fields in place of `to_block`, and an optional one."""
    job = parse_job(FOLLOW.encode(), name="job.yaml")
    assert job.mode == FollowHead(0, tail_lag=12, head_poll_interval_seconds=2.5, max_head_age_seconds=60)
    waiting = FOLLOW.replace("  tail_lag: 12", "  tail_lag: 12\n  max_wait_seconds: 3600")
    assert parse_job(waiting.encode(), name="job.yaml").mode == FollowHead(0, 12, 2.5, 60, max_wait_seconds=3600)
    assert problems(waiting.replace("3600", "0")) == [
        "line 8: mode.max_wait_seconds: must be a number of seconds greater than 0"
    ]


@pytest.mark.parametrize(("head", "end"), [(100, 89), (11, 0), (3, 0)])
def test_the_eligible_end_keeps_the_lag_and_never_precedes_the_first_block(head: int, end: int):
    """The end is `max(from_block, head + 1 - tail_lag)`."""
    assert FollowHead(0, 12, 1, 1).eligible_end(head) == end


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("kind: chain_sync", "kind: chain_copy", "line 1: kind: must be chain_sync"),
        ("name: monad_bootstrap", 'name: ""', "line 2: name: must not be empty"),
        ("name: monad_bootstrap", "name: 12", "line 2: name: must be text; put it in quotes"),
        ("name: monad_bootstrap", "name: true", "line 2: name: must be text; put it in quotes"),
        ("name: monad_bootstrap", "name: [a]", "line 2: name: must be a single value"),
        ("name: monad_bootstrap", "name: !!str a", None),
        ("name: monad_bootstrap", "name: !x a", "line 2: name: has a YAML tag; remove it"),
        ("chain_id: 143", "chain_id: 0", "line 3: chain_id: must be a whole number of at least 1, in plain digits"),
        ("chain_id: 143", 'chain_id: "143"', "line 3: chain_id: must be a whole number of at least 1, in plain digits"),
        ("chain_id: 143", "chain_id: 0143", "line 3: chain_id: must be a whole number of at least 1, in plain digits"),
        ("kind: fixed_target ", "kind: fixed", "line 5: mode.kind: must be fixed_target or follow_head"),
        ("from_block: 0 ", "from_block: -1", "line 6: mode.from_block: must be a whole number of at least 0"),
        ("from_block: 0 ", "# ", "line 5: mode.from_block: is missing"),
        ("46000000", "46_000_000", "line 7: mode.to_block: must be a whole number of at least 1, in plain digits"),
        ("46000000", "4294967296", "line 7: mode.to_block: must be a whole number of at most 4294967295"),
        ("46000000", "0", "line 7: mode.to_block: must be a whole number of at least 1"),
        (
            "  to_block: 46000000",
            "  tail_lag: 2",
            "line 7: mode.tail_lag: is not a field of a job; the fields here are",
        ),
        (
            "    rpc_pool: standard",
            "    rpc_pool: https://secret@x/",
            "line 11: streams.blocks.rpc_pool: must be the name",
        ),
        (
            "cryo_dataset_name: blocks",
            "cryo_dataset_name: Blocks",
            "line 10: streams.blocks.cryo_dataset_name: must be 1",
        ),
        (
            "cryo_dataset_name: blocks",
            "cryo_dataset_name: txs",
            "line 10: streams.blocks.cryo_dataset_name: txs is an al",
        ),
        ("  blocks:", "  Blocks!:", "line 9: streams.(a name that is not shown): a stream's name must be 1 to 64 of"),
        (
            "    chunk_size: 5000 ",
            "    chunksize: 5000",
            "line 12: streams.blocks.chunksize: is not a field of a job; did",
        ),
        (
            "    chunk_size: 5000 ",
            "    chunk_size: 0",
            "line 12: streams.blocks.chunk_size: must be a whole number of at",
        ),
        ("    max_inflight: 20 ", "    chunk_size: 20", "line 13: streams.blocks.chunk_size: repeats line 12"),
        ("  geth_calls: {", "  blocks: {", "line 14: streams.blocks: repeats line 9"),
        ("kind: chain_sync", "kind: [", "line 3, column 1: is not YAML"),
        ("kind: chain_sync", "kind: chain_sync\nstreams: 3", "line 2: streams: must be a mapping"),
        ("kind: chain_sync", "kind: chain_sync\n---", "is not YAML: but found another document"),
        ("kind: chain_sync", "kind: chain_sync\n<<: {}", "line 2: (a name that is not shown): is not a field of a job"),
        ("kind: chain_sync", "? [a]\n: b", "line 1: the file: a field's name must be text"),
        ("kind: chain_sync", "kind: chain_\x00sync", "line 1: is not YAML: special characters are not allowed"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(old: str, new: str, expected: str | None):
    """The first line of the problems says where the mistake is; values, which may be secrets, are not repeated."""
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    if expected is None:
        parse_job(text.encode(), name="job.yaml")
        return
    found = problems(text)
    assert any(expected in problem for problem in found), found
    assert "secret" not in "".join(found)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"a: 1\nb: \xff\n", "line 2: is not UTF-8"),
        (b"just text", "line 1: the file: must be a mapping"),
        (b"[" * 20_000, "is not YAML"),
        (b"#" * (MAX_BYTES + 1), "is larger than"),
        (b"kind: chain_sync\nstreams: {}\n", "line 2: streams: must have at least one stream"),
    ],
)
def test_a_file_that_is_no_job_is_refused(content: bytes, expected: str):
    """Other content than a job is named, not a traceback."""
    assert any(expected in problem for problem in problems(content))


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file():
    """A user corrects a file in one round."""
    text = TEXT.replace("chain_id: 143", "chain_id: x").replace("max_inflight: 20", "max_inflight: 0")
    assert [problem.split(":")[0] for problem in problems(text)] == ["line 3", "line 13", "line 14"]


def test_a_missing_file_is_named(tmp_path: Path):
    """The message has the file's name and the system's reason."""
    with pytest.raises(BadJob, match=r"job\.yaml.*\n  can't be read: No such file"):
        read_job(tmp_path / "job.yaml")
