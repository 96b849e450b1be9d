"""The state of a job: what survives a process, what may be lost, and who has the lock."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cryo_ingest.errors import ConfigurationError
from cryo_ingest.sync.range_queue import halves
from cryo_ingest.sync.state import DATABASE, Progress, RangeFailure, RunningAttempt, State, exclusive, is_locked

FAILURE = RangeFailure("logs", (0, 1000), 3, 2, "StoreUnavailable", "503", 12.5, set_aside=True)


def test_what_is_recorded_is_read_by_the_next_process(tmp_path: Path):
    """Attempts, failures, splits, progress and facts come back."""
    first = State(tmp_path / "new")
    running = RunningAttempt("t", 1, "logs", (0, 1000), 5.0)
    progress = Progress("logs", 10, 5, 5, 7, 800, 1.0)
    first.started(running)
    first.failed(FAILURE)
    first.split("logs", (0, 2000))
    first.set_progress(progress)
    first.set_fact("paused", "yes")
    first.close()
    second = State(tmp_path / "new")
    assert (second.running(), second.failures(), second.paused) == ([running], [FAILURE], True)
    assert (second.splits("logs"), second.splits("blocks")) == ({(0, 2000)}, frozenset())
    assert second.progress() == {"logs": progress}
    second.ended("t", 1)
    second.try_again()
    assert second.running() == []
    assert second.failure("logs", (0, 1000)) == RangeFailure("logs", (0, 1000), 3, 0, "StoreUnavailable", "503", 12.5)
    second.forget_failure("logs", (0, 1000))
    assert second.failures() == []


def test_a_broken_file_is_moved_aside(tmp_path: Path):
    """Nothing depends on it."""
    (tmp_path / DATABASE).write_bytes(b"not a database" * 100)
    assert State(tmp_path).failures() == []
    assert (tmp_path / "state.broken").exists()


def test_a_directory_that_cannot_be_used_is_a_configuration_error(tmp_path: Path):
    """The message names the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--state"):
        State(tmp_path / "file")


HOLDER = """
import sys
from pathlib import Path
from cryo_ingest.sync.state import exclusive
with exclusive(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_has_the_lock_and_a_crash_frees_it(tmp_path: Path):
    """The kernel frees the lock, also after SIGKILL."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with exclusive(tmp_path) as mine:
            assert not mine
        assert is_locked(tmp_path)
        os.kill(holder.pid, signal.SIGKILL)
    assert not is_locked(tmp_path)
    with exclusive(tmp_path) as mine:
        assert mine


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ((0, 1), None),
        ((7, 9), ((7, 8), (8, 9))),
        ((0, 1000), ((0, 500), (500, 1000))),
        ((500, 1501), ((500, 1500), (1500, 1501))),
        ((500, 5500), ((500, 2500), (2500, 5500))),
    ],
)
def test_a_range_is_split_between_two_files(blocks: tuple[int, int], expected: object):
    """A half has whole files of 1,000 blocks, if the range has several files."""
    assert halves(blocks) == expected
