"""The directory store: links, permissions, concurrent processes, and dead writers."""

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import pytest

from cryo_ingest.errors import StoreDenied, StoreUnavailable
from cryo_ingest.ports import AlreadyStored, Changed
from cryo_ingest.publish.directory import PARTIAL, DirectoryStore, _mapped_error

T = TypeVar("T")


def wait(operation: Awaitable[T]) -> T:
    """Run one operation to its end."""

    async def run() -> T:
        return await operation

    return asyncio.run(run())


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store whose directory exists."""
    (tmp_path / "root").mkdir()
    return DirectoryStore(tmp_path / "root")


def test_lay_6_symbolic_links_are_listed_and_deleted_as_themselves(store: DirectoryStore, tmp_path: Path):
    """LAY-6: readers find them, so they are leftovers; their targets are unchanged."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_bytes(b"kept")
    folder = store.root / "p"
    folder.mkdir()
    (folder / "dangling.parquet").symlink_to(tmp_path / "nowhere")
    (folder / "file.parquet").symlink_to(tmp_path / "outside" / "kept")
    (folder / "folder").symlink_to(tmp_path / "outside")
    listed = wait(store.list("p/"))
    assert set(listed) == {"p/dangling.parquet", "p/file.parquet", "p/folder"}
    wait(store.delete(listed))
    assert wait(store.list("p/")) == {}
    assert (tmp_path / "outside" / "kept").read_bytes() == b"kept"


def test_lay_10_a_dangling_link_can_be_replaced(store: DirectoryStore):
    """LAY-10: a create finds the link, the listing has it, and a replace overwrites it."""
    (store.root / "p").mkdir()
    (store.root / "p" / "key").symlink_to("nowhere")
    with pytest.raises(AlreadyStored):
        wait(store.create("p/key", b"x", metadata={}))
    wait(store.replace("p/key", b"x", metadata={}, etag=wait(store.list("p/"))["p/key"].etag))
    assert not (store.root / "p" / "key").is_symlink()
    assert wait(store.read("p/key", max_bytes=9)) == b"x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_out_4_a_directory_that_cannot_be_read_is_denied_not_empty(store: DirectoryStore):
    """OUT-4: a directory that can't be read may have files."""
    (store.root / "p").mkdir(mode=0)
    with pytest.raises(StoreDenied, match="list on p/"):
        wait(store.list("p/"))
    (store.root / "p").chmod(0o700)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StoreUnavailable),
        (errno.EDQUOT, StoreUnavailable),
        (errno.EIO, StoreUnavailable),
        (errno.EACCES, StoreDenied),
        (errno.EROFS, StoreDenied),
        (errno.EOPNOTSUPP, StoreDenied),
    ],
)
def test_out_4_an_error_of_the_file_system_is_mapped(number: int, expected: type[Exception], tmp_path: Path):
    """OUT-2, OUT-4: a full disk is retryable, a read-only one fatal; both messages name the directory."""
    error = _mapped_error(OSError(number, os.strerror(number)), operation="put", key="k", root=tmp_path)
    assert type(error) is expected
    assert str(tmp_path) in str(error)
    assert "policy" not in str(error)


def test_out_4_a_directory_that_cannot_be_a_store_is_found_before_cryo_runs(tmp_path: Path):
    """OUT-4: a file in the way, a path below it, and a file system without new directories are fatal."""
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file/below", Path("/proc/store"), Path("/sys/store")):
        with pytest.raises(StoreDenied, match=f"the directory {root} can't be used as the store: "):
            DirectoryStore(root).check_writable()


def test_out_4_the_check_of_a_directory_leaves_nothing(store: DirectoryStore):
    """The root is created, and it is empty."""
    store.check_writable()
    assert list(store.root.iterdir()) == []


def test_lay_6_a_partial_file_of_a_dead_writer_is_deleted_and_its_key_stays(store: DirectoryStore):
    """LAY-6: a kill just after the link leaves a second name of the file, which the next write deletes."""
    wait(store.create("p/key", b"whole", metadata={}))
    (store.root / f"{PARTIAL}dead").hardlink_to(store.root / "p" / "key")
    wait(store.create("p/next", b"x", metadata={}))
    assert {path.name for path in store.root.iterdir()} == {"p"}
    assert wait(store.read("p/key", max_bytes=9)) == b"whole"


def test_lay_6_unfinished_writes_are_hidden_from_readers(store: DirectoryStore):
    """LAY-6: they have hidden names at the root, outside all prefixes, that `*.parquet` does not match."""
    with store._partial_file(b"half") as partial:
        assert partial.parent == store.root
        assert partial.name.startswith(".")
        assert partial.suffix != ".parquet"
        assert wait(store.list("cryo/")) == {}
    assert not partial.exists()


def test_lay_10_concurrent_creates_and_deletes_do_not_fail(tmp_path: Path):
    """LAY-10: a delete that empties a directory does not remove it during a create."""
    stores = [DirectoryStore(tmp_path / "root") for _ in range(3)]
    wait(stores[0].create("p/a/first", b"x", metadata={}))
    errors: list[BaseException] = []

    async def churn(store: DirectoryStore, number: int) -> None:
        for _ in range(30):
            try:
                await store.create(f"p/a/{number}", b"x", metadata={})
                await store.delete([f"p/a/{number}", "p/a/first"])
            except (StoreUnavailable, StoreDenied, Changed) as error:
                errors.append(error)

    threads = [
        threading.Thread(target=asyncio.run, args=(churn(store, number),)) for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list((tmp_path / "root").iterdir()) == []


def test_lay_10_a_replace_never_overwrites_a_newer_object(store: DirectoryStore):
    """LAY-10: check and rename are atomic with respect to deletes and creates of other writers."""
    wait(store.create("p/key", b"broken", metadata={}))
    seen = wait(store.list("p/"))["p/key"].etag
    held, result = threading.Event(), []

    def delete() -> None:
        held.set()
        wait(store.delete(["p/key"]))
        result.append("deleted")

    with store._locked():
        thread = threading.Thread(target=delete)
        thread.start()
        held.wait()
        assert result == []
        assert (store.root / "p" / "key").exists()
    thread.join()
    with pytest.raises(Changed):
        wait(store.replace("p/key", b"mine", metadata={}, etag=seen))
