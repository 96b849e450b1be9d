"""One suite that every object store passes: in memory, simulated, a directory, S3 on moto and MinIO, and both by proxy.

The signing proxy is given no keys by the worker's side that the store knows, as before an external S3 server.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TypeVar, cast

import pytest
from simulation.adapter import StorePort
from support.simulated import Bridged, simulated_bench

from cryo_ingest.errors import NoSuchBucket, StoreDenied, StoreUnavailable
from cryo_ingest.ports import AlreadyStored, Changed, ObjectStore
from cryo_ingest.publish.stores import open_store
from cryo_ingest.settings import S3Settings, from_environment
from harness.stores.bucket import Bucket
from harness.stores.memory import MemoryStore
from harness.stores.proxy import StoreProxy

T = TypeVar("T")


def wait(asked: Awaitable[T]) -> T:
    """Run one request and return its result."""

    async def run() -> T:
        return await asked

    return asyncio.run(run())


DOCKER = pytest.mark.docker
S3_STORES = [
    *("moto", "proxy before moto"),
    *(pytest.param(name, marks=DOCKER) for name in ("minio", "proxy before minio", "signing proxy before minio")),
]
STRANGER = {"AWS_ACCESS_KEY_ID": "stranger", "AWS_SECRET_ACCESS_KEY": "not-the-store's"}


@pytest.fixture(params=["memory", "simulated", "file", *S3_STORES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore(AlreadyStored, Changed)
    elif request.param == "simulated":
        yield cast("ObjectStore", Bridged(StorePort(simulated_bench(tmp_path))))
    elif request.param == "file":
        yield open_store(f"file://{tmp_path}/a%20store", S3Settings())
        left = [path for path in tmp_path.glob("a store/*") if path.is_file()]
        assert left == [], "unfinished writes were left behind"
    else:
        bucket: Bucket = request.getfixturevalue(f"{request.param.rpartition(' ')[2]}_bucket")
        if "proxy" not in request.param:
            yield open_store(f"s3://{bucket.name}", from_environment(bucket.environment()).s3)
            return
        signs = "signing" in request.param
        with StoreProxy(bucket.endpoint.url, sign_as=bucket.endpoint if signs else None) as proxy:
            environment = bucket.environment() | {"S3_ENDPOINT": proxy.url} | (STRANGER if signs else {})
            yield open_store(f"s3://{bucket.name}", from_environment(environment).s3)


def content_of(store: ObjectStore, key: str) -> bytes | None:
    return wait(store.read(key, max_bytes=10**9))


def test_what_is_created_is_listed_and_read_back_whole(store: ObjectStore, tmp_path: Path):
    """LAY-2: bytes come back unchanged, from memory or from a file, empty ones and large ones too."""
    (tmp_path / "large").write_bytes(b"0123456789abcdef" * 600_000)
    (tmp_path / "empty").write_bytes(b"")
    wait(store.create("p/small", b"abc", metadata={}))
    wait(store.create("p/large", tmp_path / "large", metadata={}))
    wait(store.create("p/empty", tmp_path / "empty", metadata={}))
    wait(store.create("other/key", b"x", metadata={}))
    listed = wait(store.list("p/"))
    assert {key: found.size_bytes for key, found in listed.items()} == {
        "p/small": 3,
        "p/large": 9_600_000,
        "p/empty": 0,
    }
    assert all(found.etag for found in listed.values())
    assert content_of(store, "p/small") == b"abc"
    assert content_of(store, "p/empty") == b""
    wait(store.download(listed["p/large"], tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "large").read_bytes()


def test_part_of_an_object_is_read_from_either_end(store: ObjectStore):
    """The end of a file is read without the rest; from a shorter file all bytes are returned."""
    wait(store.create("p/key", b"0123456789", metadata={}))
    wait(store.create("p/empty", b"", metadata={}))
    assert wait(store.read("p/key", max_bytes=3)) == b"012"
    listed = wait(store.list("p/"))
    assert wait(store.read_tail(listed["p/key"], max_bytes=3)) == b"789"
    assert wait(store.read_tail(listed["p/key"], max_bytes=99)) == b"0123456789"
    assert wait(store.read_tail(listed["p/empty"], max_bytes=99)) == b""


def test_lay_10_create_never_replaces(store: ObjectStore):
    """LAY-10: a second create of the same key raises an error and changes nothing."""
    wait(store.create("p/key", b"first", metadata={}))
    with pytest.raises(AlreadyStored):
        wait(store.create("p/key", b"second", metadata={}))
    assert content_of(store, "p/key") == b"first"


def test_lay_10_replace_requires_an_unchanged_object(store: ObjectStore):
    """LAY-10: with a stale ETag or a deleted key nothing is replaced; with the current one the ETag changes."""
    wait(store.create("p/key", b"first", metadata={}))
    seen = wait(store.list("p/"))["p/key"].etag
    wait(store.replace("p/key", b"second", metadata={}, etag=seen))
    assert content_of(store, "p/key") == b"second"
    assert wait(store.list("p/"))["p/key"].etag != seen
    for key in ("p/key", "p/gone"):
        with pytest.raises(Changed):
            wait(store.replace(key, b"third", metadata={}, etag=seen))
    assert content_of(store, "p/key") == b"second"
    assert set(wait(store.list("p/"))) == {"p/key"}


def test_lay_10_what_is_downloaded_is_what_was_listed(store: ObjectStore, tmp_path: Path):
    """LAY-10: nothing is downloaded with an outdated listing, so no other content than the listed one is checked."""
    wait(store.create("p/key", b"first", metadata={}))
    listed = wait(store.list("p/"))["p/key"]
    wait(store.replace("p/key", b"other", metadata={}, etag=listed.etag))
    with pytest.raises(Changed):
        wait(store.download(listed, tmp_path / "copy"))


def test_lay_10_of_two_racing_replaces_one_wins(store: ObjectStore):
    """LAY-10: of concurrent writers that read the same content, only one can replace it."""
    wait(store.create("p/key", b"broken", metadata={}))
    seen = wait(store.list("p/"))["p/key"].etag

    async def race() -> list[object]:
        bodies = [bytes([65 + n]) * 1000 for n in range(8)]
        replacing = (store.replace("p/key", body, metadata={}, etag=seen) for body in bodies)
        return list(await asyncio.gather(*replacing, return_exceptions=True))

    results = wait(race())
    assert results.count(None) == 1
    assert sum(isinstance(result, Changed) for result in results) == 7


def test_of_two_racing_creates_one_wins(store: ObjectStore):
    """LAY-10: create is atomic between concurrent writers."""

    async def race() -> list[object]:
        bodies = [bytes([65 + n]) * 1000 for n in range(8)]
        creating = (store.create("p/key", body, metadata={}) for body in bodies)
        return list(await asyncio.gather(*creating, return_exceptions=True))

    results = wait(race())
    assert results.count(None) == 1
    assert sum(isinstance(result, AlreadyStored) for result in results) == 7


def test_what_is_not_there_reads_as_none_and_deletes_in_silence(store: ObjectStore, tmp_path: Path):
    """A key may go at any moment; that is an answer, not a fault."""
    wait(store.create("p/key", b"x", metadata={}))
    listed = wait(store.list("p/"))["p/key"]
    wait(store.delete(["p/key", "p/gone"]))
    wait(store.delete([]))
    assert wait(store.list("p/")) == {}
    assert wait(store.read("p/key", max_bytes=9)) is None
    assert wait(store.read_tail(listed, max_bytes=9)) is None
    assert wait(store.download(listed, tmp_path / "copy")) is None


def test_lay_8_metadata_come_back_where_the_store_keeps_any(store: ObjectStore, tmp_path: Path):
    """LAY-8: S3 gives user metadata back, an empty value as nothing or as empty; a directory keeps none."""
    wait(store.create("p/key", b"x", metadata={"sha256": "abc", "block-min": ""}))
    listed = wait(store.list("p/"))["p/key"]
    seen = wait(store.download(listed, tmp_path / "copy"))
    assert seen is not None
    assert store.keeps_metadata is (seen.get("sha256") == "abc")
    assert seen.get("block-min", "") == ""


def test_pub_2_the_reference_names_scheme_bucket_and_prefix(store: ObjectStore):
    """PUB-2: `s3` with its bucket, or `file` with the absolute directory and no bucket."""
    reference = store.reference("cryo/1/")
    assert reference.glob == "*.parquet"
    if reference.scheme == "s3":
        assert reference.bucket
        assert reference.prefix == "cryo/1/"
    else:
        assert reference.bucket is None
        assert reference.prefix.startswith("/")
        assert reference.prefix.endswith("/a store/cryo/1/")


@pytest.mark.parametrize("kind", ["moto", pytest.param("minio", marks=pytest.mark.docker)])
def test_out_4_a_bucket_that_is_not_there_is_fatal(kind: str, request: pytest.FixtureRequest):
    """OUT-4: every request to a missing bucket raises NoSuchBucket."""
    bucket = request.getfixturevalue(f"{kind}_bucket")
    store = open_store("s3://no-such-bucket-here", from_environment(bucket.environment()).s3)
    for call in (store.list("p/"), store.create("p/k", b"x", metadata={})):
        with pytest.raises(NoSuchBucket, match="no-such-bucket-here"):
            wait(call)


@pytest.mark.docker
def test_out_4_wrong_keys_are_access_denied_and_not_in_the_message(minio_bucket: Bucket):
    """OUT-4, SEC-1: a rejected signature is fatal, and the message contains neither the key nor the secret."""
    environment = minio_bucket.environment() | {"AWS_SECRET_ACCESS_KEY": "wr0ng-s3cret"}
    store = open_store(f"s3://{minio_bucket.name}", from_environment(environment).s3)
    for call in (store.list("p/"), store.create("p/k", b"x", metadata={}), store.read("p/k", max_bytes=1)):
        with pytest.raises(StoreDenied, match=r"SignatureDoesNotMatch|403") as caught:
            wait(call)
        assert "s3cret" not in str(caught.value)
        assert environment["AWS_ACCESS_KEY_ID"] not in str(caught.value)


def test_out_2_a_store_that_does_not_answer_is_retryable():
    """OUT-2: a refused connection is a network fault; the message names operation, key and the store's address."""
    environment = {"S3_ENDPOINT": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    store = open_store("s3://bucket", from_environment(environment).s3)
    with pytest.raises(StoreUnavailable, match="put on p/k") as caught:
        wait(store.create("p/k", b"x", metadata={}))
    assert "http://127.0.0.1:9" in str(caught.value)


def test_keys_that_lead_out_of_a_directory_are_refused(tmp_path: Path):
    """A directory store writes below its root and nowhere else."""
    store = open_store(f"file://{tmp_path}/root", S3Settings())
    (tmp_path / "root").mkdir()
    with pytest.raises(StoreDenied):
        wait(store.create("../outside", b"x", metadata={}))
    assert not (tmp_path / "outside").exists()


def test_what_a_dead_writer_left_in_a_directory_goes_with_the_next_write(tmp_path: Path):
    """LAY-6: an unfinished write of a killed process does not stay for ever."""
    left = tmp_path / ".cryo_ingest-dead"
    left.write_bytes(b"half")
    wait(open_store(f"file://{tmp_path}", S3Settings()).create("p/key", b"x", metadata={}))
    assert not left.exists()


@pytest.mark.parametrize("url", ["", "s3://", "s3://bucket/key", "file://relative", "file:///", "http://x", "bucket"])
def test_a_url_that_names_no_store_is_refused(url: str):
    """The two forms are said in the message."""
    with pytest.raises(ValueError, match="s3://bucket or file:///"):
        open_store(url, S3Settings())
