"""Staging: STG-1 to STG-7."""

import asyncio
import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cryo_ingest.clock import SystemClock
from cryo_ingest.errors import DiskFull, MachineFailed, StagingHeld, UnsafeStaging
from cryo_ingest.extract.staging import DirectoryStaging, _mapped_error
from cryo_ingest.ports import Workspace

TASK = "0f8fad5b-d9cb-469f-a165-70867728950e"
STRANGER = 12345


class SetClock(SystemClock):
    """A clock that tells the time it was given."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        """Return the time that was set."""
        return self.now


def make(root: Path, *, ttl_hours: float = 24, now: float = 1e9, minimum_free_bytes: int = 0) -> DirectoryStaging:
    return DirectoryStaging(root, ttl_hours, SetClock(now), minimum_free_bytes)


def acquire(staging: DirectoryStaging, attempt: int = 1) -> Workspace:
    return asyncio.run(staging.acquire(TASK, attempt))


def discard(staging: DirectoryStaging, attempt: int = 1) -> None:
    asyncio.run(staging.discard(TASK, attempt))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_stg_1_and_2_the_directory_is_task_and_attempt_and_every_one_made_is_private(tmp_path: Path):
    """STG-1, STG-2: `<root>/<task_id>/<attempt>`, each directory that is made having mode 0700."""
    root = tmp_path / "trace" / "cryo"
    staging = make(root)
    workspace = acquire(staging, 3)
    assert workspace.directory == root / TASK / "3"
    assert [mode(path) for path in (tmp_path / "trace", root, root / TASK, root / TASK / "3")] == [0o700] * 4
    discard(staging, 3)
    assert list(root.iterdir()) == []


def test_stg_1_what_an_earlier_process_left_is_emptied(tmp_path: Path):
    """STG-1: a directory that is already there is emptied; links in it are removed, not followed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    left = tmp_path / "root" / TASK / "1"
    (left / "sub" / "deep").mkdir(parents=True)
    (left / "sub" / "file").write_text("x")
    (left / "link").symlink_to(outside)
    left.chmod(0o755)
    staging = make(tmp_path / "root")
    acquire(staging)
    assert list(left.iterdir()) == []
    assert mode(left) == 0o700
    assert (outside / "precious").exists()
    discard(staging)


def test_stg_5_a_directory_that_a_live_attempt_holds_is_not_taken(tmp_path: Path):
    """STG-5: the second comer is told so, retryably, and nothing of the first is touched."""
    first, second = make(tmp_path), make(tmp_path)
    workspace = acquire(first)
    (workspace.directory / "file").write_text("x")
    for other in (first, second):
        with pytest.raises(StagingHeld):
            acquire(other)
    assert (workspace.directory / "file").exists()
    discard(first)
    acquire(second)
    discard(second)


def test_stg_5_a_cryo_that_outlived_its_worker_still_holds_the_directory(tmp_path: Path):
    """STG-5: the lock's descriptor is inherited, so it outlives the process that took it."""
    staging, later = make(tmp_path), make(tmp_path, ttl_hours=0, now=4e9)
    workspace = acquire(staging)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[workspace.lock]) as child:
        os.close(workspace.lock)
        with pytest.raises(StagingHeld):
            acquire(later)
        assert asyncio.run(later.sweep()) == 0
        child.communicate(b"\n")
    acquire(later)
    discard(later)


@pytest.mark.parametrize("place", ["root", "task", "attempt"])
@pytest.mark.parametrize("kind", ["link", "file", "foreign"])
def test_stg_6_a_link_a_file_or_a_strangers_directory_is_refused(tmp_path: Path, place: str, kind: str):
    """STG-6: whichever component it is, it is fatal, and nothing behind it is read, written or deleted."""
    root = tmp_path / "root"
    path = {"root": root, "task": root / TASK, "attempt": root / TASK / "1"}[place]
    path.parent.mkdir(parents=True, exist_ok=True)
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "precious").write_text("x")
    if kind == "link":
        path.symlink_to(behind)
    elif kind == "file":
        path.write_text("x")
    elif os.geteuid() != 0:
        pytest.skip("only root can make a directory that belongs to somebody else")
    else:
        path.mkdir()
        os.chown(path, STRANGER, STRANGER)
    with pytest.raises(UnsafeStaging, match=str(path)):
        acquire(make(root))
    assert asyncio.run(make(root, ttl_hours=0, now=4e9).sweep()) == 0
    assert [entry.name for entry in behind.iterdir()] == ["precious"]


def test_stg_4_the_sweep_deletes_what_is_older_than_the_ttl_and_nothing_else(tmp_path: Path):
    """STG-4: the age is the directory's own modification time; younger, held and foreign ones are kept."""
    now = 1_700_000_000
    old, young, held, link = (TASK[:-1] + digit for digit in "abcd")
    for name, hours in ((old, 24.1), (young, 23.9), (held, 48)):
        directory = tmp_path / name / "1"
        directory.mkdir(parents=True)
        (directory / "file").write_text("x")
        os.utime(directory, (now, now - hours * 3600))
    (tmp_path / link).symlink_to(tmp_path / young)
    holder = os.open(tmp_path / held / "1", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert asyncio.run(make(tmp_path, now=now).sweep()) == 1
    os.close(holder)
    assert sorted(path.name for path in tmp_path.iterdir()) == [young, held, link]
    assert (tmp_path / young / "1" / "file").exists()


@pytest.mark.parametrize("place", ["cryo/1", "holiday/2024", f"{TASK}/photos", f"cryo/{TASK}"])
def test_stg_4_what_does_not_have_an_attempts_name_is_never_swept(tmp_path: Path, place: str):
    """STG-4: a root that holds other things, a directory store's versions among them, keeps them however old."""
    stranger = tmp_path / place
    (stranger / "deep").mkdir(parents=True)
    (stranger / "deep" / "precious").write_text("x")
    os.utime(stranger, (0, 0))
    assert asyncio.run(make(tmp_path).sweep()) == 0
    assert (stranger / "deep" / "precious").exists()


def test_stg_1_attempts_at_one_task_come_and_go_without_hindering_each_other(tmp_path: Path):
    """STG-1: the task's directory goes with its last attempt, even while the next one is about to stage in it."""
    rounds = 60

    def come_and_go(attempt: int) -> None:
        staging = make(tmp_path)
        for _ in range(rounds):
            acquire(staging, attempt)
            discard(staging, attempt)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(come_and_go, range(1, 5)))
    assert list(tmp_path.iterdir()) == []


def test_stg_4_a_sweep_beside_attempts_that_end_is_no_fault(tmp_path: Path):
    """STG-4: what another process deletes while the sweep looks at it is nobody's fault."""
    done = threading.Event()

    def come_and_go() -> None:
        staging = make(tmp_path)
        for _ in range(60):
            acquire(staging)
            discard(staging)
        done.set()

    with ThreadPoolExecutor(1) as threads:
        ending = threads.submit(come_and_go)
        while not done.is_set() and not ending.done():
            assert asyncio.run(make(tmp_path).sweep()) == 0
        ending.result()


def test_out_4_no_descriptor_left_is_the_machines_fault_and_not_the_directorys(tmp_path: Path):
    """OUT-4: what says nothing of the path is retryable; the path's own fault stays fatal."""
    faults = {
        number: _mapped_error(OSError(number, os.strerror(number)), tmp_path, 0)
        for number in (errno.EMFILE, errno.EACCES)
    }
    assert isinstance(faults[errno.EMFILE], MachineFailed)
    assert isinstance(faults[errno.EACCES], UnsafeStaging)


def test_stg_4_sweeping_where_there_is_no_root_does_nothing(tmp_path: Path):
    """STG-4: a first start-up finds nothing."""
    assert asyncio.run(make(tmp_path / "none").sweep()) == 0
    assert list(tmp_path.iterdir()) == []


def test_stg_7_too_little_room_is_a_retryable_refusal_that_leaves_nothing(tmp_path: Path):
    """STG-7: free space is checked before Cryo starts."""
    with pytest.raises(DiskFull) as caught:
        acquire(make(tmp_path, minimum_free_bytes=2**62))
    assert caught.value.outcome == "retryable_error"
    assert list(tmp_path.iterdir()) == []


def test_stg_3_discarding_what_was_never_acquired_is_nothing(tmp_path: Path):
    """STG-3: a caller may always discard."""
    discard(make(tmp_path))


class SlowStaging(DirectoryStaging):
    """Takes a lock only when it is let, in its thread."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, 24, SystemClock())
        self.begun, self.go_on = threading.Event(), threading.Event()

    def _acquire(self, task_id: str, attempt: int) -> Workspace:
        self.begun.set()
        self.go_on.wait()
        return super()._acquire(task_id, attempt)


def test_stg_8_an_attempt_cancelled_while_it_takes_its_directory_can_still_discard_it(tmp_path: Path):
    """STG-8: the thread that takes the lock can't be stopped, so its end is waited for; nothing stays held."""
    staging = SlowStaging(tmp_path / "staging")

    async def main() -> None:
        acquiring = asyncio.ensure_future(staging.acquire("task", 1))
        await asyncio.to_thread(staging.begun.wait)
        acquiring.cancel()
        staging.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await acquiring
        await staging.discard("task", 1)

    asyncio.run(main())
    assert list((tmp_path / "staging").glob("*")) == []
