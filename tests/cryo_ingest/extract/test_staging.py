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
from cryo_ingest.errors import DiskFull, MachineFailed, StagingLocked, UnsafeStaging
from cryo_ingest.extract.staging import DirectoryStaging, _mapped_error
from cryo_ingest.ports import Workspace

TASK = "0f8fad5b-d9cb-469f-a165-70867728950e"
OTHER_USER = 12345


class SetClock(SystemClock):
    """A clock that is set to a time."""

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


def test_stg_1_and_2_the_directory_is_task_and_attempt_and_created_private(tmp_path: Path):
    """STG-1, STG-2: the path is `<root>/<task_id>/<attempt>`, and each created directory has mode 0700."""
    root = tmp_path / "trace" / "cryo"
    staging = make(root)
    workspace = acquire(staging, 3)
    assert workspace.directory == root / TASK / "3"
    assert [mode(path) for path in (tmp_path / "trace", root, root / TASK, root / TASK / "3")] == [0o700] * 4
    discard(staging, 3)
    assert list(root.iterdir()) == []


def test_stg_1_an_existing_directory_is_emptied(tmp_path: Path):
    """STG-1: links in it are deleted, not followed."""
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


def test_stg_5_a_directory_of_a_live_attempt_is_not_acquired(tmp_path: Path):
    """STG-5: the second attempt gets a retryable error, and the first one's files are unchanged."""
    first, second = make(tmp_path), make(tmp_path)
    workspace = acquire(first)
    (workspace.directory / "file").write_text("x")
    for other in (first, second):
        with pytest.raises(StagingLocked):
            acquire(other)
    assert (workspace.directory / "file").exists()
    discard(first)
    acquire(second)
    discard(second)


def test_stg_5_a_cryo_that_outlives_its_worker_keeps_the_lock(tmp_path: Path):
    """STG-5: the lock's descriptor is inherited, so it outlives the process that acquired it."""
    staging, later = make(tmp_path), make(tmp_path, ttl_hours=0, now=4e9)
    workspace = acquire(staging)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[workspace.lock]) as child:
        os.close(workspace.lock)
        with pytest.raises(StagingLocked):
            acquire(later)
        assert asyncio.run(later.sweep()) == 0
        child.communicate(b"\n")
    acquire(later)
    discard(later)


@pytest.mark.parametrize("component", ["root", "task", "attempt"])
@pytest.mark.parametrize("kind", ["link", "file", "foreign"])
def test_stg_6_a_link_a_file_or_another_users_directory_is_rejected(tmp_path: Path, component: str, kind: str):
    """STG-6: any such component is fatal, and nothing in it is read, written or deleted."""
    root = tmp_path / "root"
    path = {"root": root, "task": root / TASK, "attempt": root / TASK / "1"}[component]
    path.parent.mkdir(parents=True, exist_ok=True)
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "precious").write_text("x")
    if kind == "link":
        path.symlink_to(behind)
    elif kind == "file":
        path.write_text("x")
    elif os.geteuid() != 0:
        pytest.skip("only root can create a directory of another user")
    else:
        path.mkdir()
        os.chown(path, OTHER_USER, OTHER_USER)
    with pytest.raises(UnsafeStaging, match=str(path)):
        acquire(make(root))
    assert asyncio.run(make(root, ttl_hours=0, now=4e9).sweep()) == 0
    assert [entry.name for entry in behind.iterdir()] == ["precious"]


def test_stg_4_the_sweep_deletes_only_directories_older_than_the_ttl(tmp_path: Path):
    """STG-4: the age is the directory's modification time; younger and locked directories and links are kept."""
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


@pytest.mark.parametrize("path", ["cryo/1", "holiday/2024", f"{TASK}/photos", f"cryo/{TASK}"])
def test_stg_4_other_directories_are_never_swept(tmp_path: Path, path: str):
    """STG-4: a root with other directories, such as a directory store's versions, keeps them at any age."""
    other = tmp_path / path
    (other / "deep").mkdir(parents=True)
    (other / "deep" / "precious").write_text("x")
    os.utime(other, (0, 0))
    assert asyncio.run(make(tmp_path).sweep()) == 0
    assert (other / "deep" / "precious").exists()


def test_stg_1_concurrent_attempts_at_a_task_do_not_disturb_each_other(tmp_path: Path):
    """STG-1: the task's directory is deleted with its last attempt, even while the next one acquires it."""
    rounds = 60

    def come_and_go(attempt: int) -> None:
        staging = make(tmp_path)
        for _ in range(rounds):
            acquire(staging, attempt)
            discard(staging, attempt)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(come_and_go, range(1, 5)))
    assert list(tmp_path.iterdir()) == []


def test_stg_4_a_sweep_during_the_end_of_attempts_does_not_fail(tmp_path: Path):
    """STG-4: the sweep ignores what another process deletes meanwhile."""
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


def test_out_4_missing_descriptors_are_retryable_and_a_denied_path_is_fatal(tmp_path: Path):
    """OUT-4: errors that are not about the path are retryable."""
    errors = {
        number: _mapped_error(OSError(number, os.strerror(number)), tmp_path, 0)
        for number in (errno.EMFILE, errno.EACCES)
    }
    assert isinstance(errors[errno.EMFILE], MachineFailed)
    assert isinstance(errors[errno.EACCES], UnsafeStaging)


def test_stg_4_a_sweep_without_a_root_does_nothing(tmp_path: Path):
    """STG-4: the root does not exist at the first start-up."""
    assert asyncio.run(make(tmp_path / "none").sweep()) == 0
    assert list(tmp_path.iterdir()) == []


def test_stg_7_too_little_free_space_is_retryable_and_leaves_nothing(tmp_path: Path):
    """STG-7: free space is checked before Cryo starts."""
    with pytest.raises(DiskFull) as caught:
        acquire(make(tmp_path, minimum_free_bytes=2**62))
    assert caught.value.outcome == "retryable_error"
    assert list(tmp_path.iterdir()) == []


def test_stg_3_discarding_without_acquiring_does_nothing(tmp_path: Path):
    """STG-3: a caller can always discard."""
    discard(make(tmp_path))


class SlowStaging(DirectoryStaging):
    """Acquires its lock in a thread, after `go_on` is set."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, 24, SystemClock())
        self.begun, self.go_on = threading.Event(), threading.Event()

    def _acquire(self, task_id: str, attempt: int) -> Workspace:
        self.begun.set()
        self.go_on.wait()
        return super()._acquire(task_id, attempt)


def test_stg_8_an_attempt_cancelled_while_it_acquires_can_discard(tmp_path: Path):
    """STG-8: the cancellation waits for the thread that acquires the lock, so that nothing stays locked."""
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
