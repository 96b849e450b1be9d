"""What only a directory store has to mind: links, permissions, rivals in other processes, and writers that died."""

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import pytest

from cryo_ingest.errors import StoreDenied, StoreUnavailable, StoreUnfit
from cryo_ingest.ports import AlreadyStored, Changed
from cryo_ingest.publish.directory import PARTIAL, DirectoryStore, _fault

T = TypeVar("T")


def wait(asked: Awaitable[T]) -> T:
    """Run one request to its end."""

    async def run() -> T:
        return await asked

    return asyncio.run(run())


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store whose directory is there."""
    (tmp_path / "root").mkdir()
    return DirectoryStore(tmp_path / "root")


def test_lay_6_symbolic_links_are_listed_as_themselves_and_deleted_as_such(store: DirectoryStore, tmp_path: Path):
    """LAY-6: readers meet them, so they are leftovers; what they point at is not touched."""
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


def test_lay_10_a_dangling_link_in_a_keys_place_can_be_replaced(store: DirectoryStore):
    """LAY-10: what a create is told is there is in the listing, and gives way like any broken object."""
    (store.root / "p").mkdir()
    (store.root / "p" / "key").symlink_to("nowhere")
    with pytest.raises(AlreadyStored):
        wait(store.create("p/key", b"x", metadata={}))
    wait(store.replace("p/key", b"x", metadata={}, etag=wait(store.list("p/"))["p/key"].etag))
    assert not (store.root / "p" / "key").is_symlink()
    assert wait(store.read("p/key", max_bytes=9)) == b"x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_out_4_a_directory_that_cannot_be_read_is_denied_not_empty(store: DirectoryStore):
    """OUT-4: what a listing can't see is not nothing."""
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
        (errno.EOPNOTSUPP, StoreUnfit),
    ],
)
def test_out_4_a_fault_of_the_file_system_is_told_by_its_name(number: int, expected: type[Exception], tmp_path: Path):
    """OUT-2, OUT-4: a full disk may pass, a read-only one will not; both name the directory."""
    fault = _fault(OSError(number, os.strerror(number)), operation="put", key="k", root=tmp_path)
    assert type(fault) is expected
    assert str(tmp_path) in str(fault)


def test_lay_6_what_died_between_link_and_unlink_is_swept_and_the_key_stays(store: DirectoryStore):
    """LAY-6: a kill just after the key appeared leaves a second name of its file, which the next write sweeps."""
    wait(store.create("p/key", b"whole", metadata={}))
    (store.root / f"{PARTIAL}dead").hardlink_to(store.root / "p" / "key")
    wait(store.create("p/next", b"x", metadata={}))
    assert {path.name for path in store.root.iterdir()} == {"p"}
    assert wait(store.read("p/key", max_bytes=9)) == b"whole"


def test_unfinished_writes_are_where_no_reader_of_a_prefix_looks(store: DirectoryStore):
    """LAY-6: a hidden name at the root, below no prefix, and not globbed by `*.parquet`."""
    with store._written(b"half") as partial:
        assert partial.parent == store.root
        assert partial.name.startswith(".")
        assert partial.suffix != ".parquet"
        assert wait(store.list("cryo/")) == {}
    assert not partial.exists()


def test_lay_10_creates_and_deletes_of_rivals_never_fail_each_other(tmp_path: Path):
    """LAY-10: a delete that empties a directory does not pull it from under a create."""
    stores = [DirectoryStore(tmp_path / "root") for _ in range(3)]
    wait(stores[0].create("p/a/first", b"x", metadata={}))
    faults: list[BaseException] = []

    async def churn(store: DirectoryStore, number: int) -> None:
        for _ in range(30):
            try:
                await store.create(f"p/a/{number}", b"x", metadata={})
                await store.delete([f"p/a/{number}", "p/a/first"])
            except (StoreUnavailable, StoreDenied, Changed) as fault:
                faults.append(fault)

    threads = [
        threading.Thread(target=asyncio.run, args=(churn(store, number),)) for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert list((tmp_path / "root").iterdir()) == []


def test_lay_10_a_replace_never_lands_on_what_came_after_the_check(store: DirectoryStore):
    """LAY-10: check and rename are one step against a delete and a create of somebody else's."""
    wait(store.create("p/key", b"broken", metadata={}))
    seen = wait(store.list("p/"))["p/key"].etag
    held, result = threading.Event(), []

    def rival() -> None:
        held.set()
        wait(store.delete(["p/key"]))
        result.append("deleted")

    with store._locked():
        thread = threading.Thread(target=rival)
        thread.start()
        held.wait()
        assert result == []
        assert (store.root / "p" / "key").exists()
    thread.join()
    with pytest.raises(Changed):
        wait(store.replace("p/key", b"mine", metadata={}, etag=seen))
