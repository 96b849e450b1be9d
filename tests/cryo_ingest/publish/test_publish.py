"""Publishing exactly once, with any previous state of the prefix: LAY-2 to LAY-11, PUB-4."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from support.publishing import COMPLETE, KEYS, REAL, TASK, Publisher, holding, make_store

from cryo_ingest.errors import ModeMismatch, PrefixContended, StoreDenied, StoreUnavailable
from cryo_ingest.model import parse_manifest
from cryo_ingest.ports import AlreadyStored, Changed, Extraction, StoredObject
from cryo_ingest.publish.version import Version
from cryo_ingest.settings import SINGLE_PUT_LIMIT_BYTES
from harness.stores.memory import MemoryFault, Operation


def test_lay_5_files_are_stored_first_and_the_manifest_last(publisher: Publisher, extraction: Extraction):
    """LAY-2, LAY-3, LAY-5, LAY-6, PUB-4: all are create-only PUTs, the manifest after every file in it."""
    store = make_store()
    publisher.publish(store, extraction)
    assert sorted(store.did("create")[:3]) == KEYS
    assert store.did("create")[3:] == [REAL.manifest_key]
    assert store.did("replace") == store.did("delete") == []
    assert store.contents() == COMPLETE
    assert parse_manifest(store.contents()[REAL.manifest_key]) == REAL.manifest
    assert list(publisher.scratch.iterdir()) == []


def test_lay_8_each_file_has_the_metadata_of_its_proof(publisher: Publisher, extraction: Extraction):
    """LAY-8: digest, rows, blocks, level and provenance; the manifest has no metadata."""
    store = make_store()
    publisher.publish(store, extraction)
    assert store.objects[KEYS[1]].metadata == {
        "sha256": b"real rows abc".hex(),
        "rows": "3",
        "block-min": "1000",
        "block-max": "1999",
        "evidence": "rows",
        "cryo-sha256": "binary",
    }
    assert store.objects[REAL.manifest_key].metadata == {}


def test_lay_10_a_complete_version_is_adopted_and_nothing_is_written(publisher: Publisher):
    """LAY-10: every object is read, none is written."""
    store = holding(COMPLETE)
    assert publisher.use_existing(store)
    assert store.did("create") + store.did("replace") + store.did("delete") == []
    assert set(store.did("get")) == set(COMPLETE)
    assert list(publisher.scratch.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {KEYS[1]: None},
        {KEYS[1]: b"garbage"},
        {REAL.manifest_key: None},
        {REAL.manifest_key: b"{"},
        {REAL.manifest_key: REAL.manifest.to_bytes().replace(b'"version":1', b'"version":2')},
        {REAL.manifest_key: REAL.manifest.model_copy(update={"parquet_keys": (KEYS[0],)}).to_bytes()},
        {REAL.manifest_key: REAL.manifest.model_copy(update={"dataset_version": "other"}).to_bytes()},
    ],
    ids=["missing", "broken", "no manifest", "no json", "other form", "fewer keys", "another version"],
)
def test_lay_10_an_incomplete_version_is_completed(
    change: dict[str, bytes | None], publisher: Publisher, extraction: Extraction
):
    """LAY-10: reading changes nothing; publishing completes it, objects before the manifest."""
    incomplete = {key: content for key, content in (COMPLETE | change).items() if content is not None}
    store = holding(incomplete)
    assert not publisher.use_existing(store)
    assert store.contents() == incomplete
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE
    put = [key for operation, key in store.journal if operation in {"create", "replace"}]
    assert put[-1] == REAL.manifest_key


def test_lay_10_an_object_whose_recorded_digest_is_wrong_is_incomplete(publisher: Publisher):
    """LAY-10: recorded metadata count only if the bytes match them."""
    store = holding(COMPLETE)
    store.hold(KEYS[0], COMPLETE[KEYS[0]], {"sha256": "of other bytes"})
    assert not publisher.use_existing(store)


def test_lay_10_the_same_rows_in_another_order_are_adopted(publisher: Publisher, extraction: Extraction):
    """LAY-10: some datasets are not byte-stable; a complete stored object is never replaced by other bytes."""
    store = make_store()
    metadata = {"rows": "3", "block-min": "0", "block-max": "999", "evidence": "rows"}
    store.hold(KEYS[0], b"real rows cba", {"sha256": b"real rows cba".hex(), **metadata})
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE | {KEYS[0]: b"real rows cba"}
    assert KEYS[0] not in store.did("replace")


def test_lay_8_an_adopted_object_gets_correct_metadata_with_its_own_bytes(publisher: Publisher, extraction: Extraction):
    """LAY-8, LAY-10: a complete object without metadata is stored again with the same bytes."""
    store = holding({KEYS[0]: b"real rows cba"})
    publisher.publish(store, extraction)
    stored = store.objects[KEYS[0]]
    assert stored.body == b"real rows cba"
    assert stored.metadata["sha256"] == b"real rows cba".hex()
    assert list(publisher.scratch.iterdir()) == []


@pytest.mark.parametrize("stored", [b"", b"garbage", b"real rows abd", b"real rows"])
def test_lay_10_an_incomplete_object_or_one_with_other_rows_is_replaced(
    stored: bytes, publisher: Publisher, extraction: Extraction
):
    """LAY-10: the replacement has `If-Match` with the ETag of the object that was proved."""
    store = holding({KEYS[2]: stored})
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE
    assert store.did("replace") == [KEYS[2]]


def test_lay_6_leftovers_are_deleted_before_the_manifest_is_written(publisher: Publisher, extraction: Extraction):
    """LAY-6: keys that do not belong to the version are deleted; other prefixes are unchanged."""
    neighbour = REAL.prefix.rstrip("/") + "0/other.parquet"
    store = holding({REAL.prefix + "old.parquet": b"garbage", REAL.prefix + "a/b": b"x", neighbour: b"real rows x"})
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE | {neighbour: b"real rows x"}
    assert store.journal.index(("delete", REAL.prefix + "old.parquet")) < store.journal.index(
        ("create", REAL.manifest_key)
    )


def test_lay_6_leftovers_of_a_complete_version_are_deleted(publisher: Publisher):
    """LAY-6: this is also true if the stored version is kept."""
    store = holding(COMPLETE | {REAL.prefix + "stray.parquet": b"garbage"})
    assert publisher.use_existing(store)
    assert store.contents() == COMPLETE


@pytest.mark.parametrize("mode", ["real", "fake"])
@pytest.mark.parametrize("key", [KEYS[0], REAL.prefix + "stray.parquet"])
def test_lay_11_data_of_the_other_mode_are_fatal(mode: str, key: str, tmp_path: Path, extraction: Extraction):
    """LAY-11: in both modes the message names the key, and nothing is replaced or deleted."""
    other = b"real rows abc" if mode == "fake" else b"fake rows abc"
    publisher = Publisher(tmp_path, Version.from_task(TASK, mode=mode))
    contents = {key: other, REAL.prefix + "garbage": b"x"}
    store = holding(contents)
    with pytest.raises(ModeMismatch, match=key):
        publisher.use_existing(store)
    assert store.contents() == contents
    with pytest.raises(ModeMismatch, match=key):
        publisher.publish(store, extraction)
    assert contents.items() <= store.contents().items()
    assert REAL.manifest_key not in store.contents()


@pytest.mark.parametrize("key", ["1000_to", r"_manifest\.json"])
def test_lay_10_an_object_of_our_own_create_with_a_lost_response_is_adopted(
    key: str, publisher: Publisher, extraction: Extraction
):
    """LAY-10: the client's retry of the create finds the object, which is proved and kept."""
    store = make_store(MemoryFault("create", key, "after", AlreadyStored(), times=1))
    publisher.publish(store, extraction)
    assert store.fired
    assert store.contents() == COMPLETE
    assert store.did("replace") == []


@pytest.mark.parametrize("key", ["1000_to", r"_manifest\.json"])
def test_lay_10_an_object_of_our_own_replace_with_a_lost_response_is_adopted(
    key: str, publisher: Publisher, extraction: Extraction
):
    """LAY-10: the client's retry of the replace receives 412; the key is read again, and the object kept."""
    store = holding(
        {KEYS[1]: b"garbage", REAL.manifest_key: b"{"}, MemoryFault("replace", key, "after", Changed(), times=1)
    )
    publisher.publish(store, extraction)
    assert store.fired
    assert store.contents() == COMPLETE
    assert sorted(store.did("replace")) == [REAL.manifest_key, KEYS[1]]


@pytest.mark.parametrize("operation", ["list", "get", "create", "replace", "delete"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_lay_10_an_attempt_after_an_interrupted_one_completes_the_version(
    operation: Operation, when: Literal["before", "after"], tmp_path: Path, extraction: Extraction
):
    """LAY-5, LAY-10, PUB-3: after any interruption a valid manifest means complete files."""
    before = {KEYS[0]: b"real rows cba", KEYS[1]: b"garbage", REAL.prefix + "stray": b"x", REAL.manifest_key: b"{"}
    unavailable = StoreUnavailable(operation=operation, key="k", reason="HTTP 500")
    for nth in range(1, 30):
        store = holding(before, MemoryFault(operation, "", when, unavailable, nth=nth, times=1))
        folder = tmp_path / f"{nth}"
        folder.mkdir()
        publisher = Publisher(folder)
        with suppress(StoreUnavailable):
            publisher.publish(store, extraction)
        if not store.fired:
            assert nth > 1, "the fault never fired"
            return
        store.faults = ()
        if parse_manifest(store.contents()[REAL.manifest_key]) == REAL.manifest:
            assert COMPLETE | {KEYS[0]: b"real rows cba"} == store.contents()
        if not publisher.use_existing(store):
            publisher.publish(store, extraction)
        assert store.contents() == COMPLETE | {KEYS[0]: b"real rows cba"}
        assert list(publisher.scratch.iterdir()) == []
    pytest.fail("publishing never ended")


def test_lay_10_a_published_version_with_other_rows_is_kept(publisher: Publisher, extraction: Extraction):
    """LAY-10, PUB-6: another attempt's published version is kept, although this attempt's node returned other rows."""
    other = dict.fromkeys(KEYS, b"real rows xyz") | {REAL.manifest_key: REAL.manifest.to_bytes()}
    store = holding(other)
    publisher.publish(store, extraction)
    assert store.contents() == other
    assert store.did("replace") == store.did("delete") == []
    assert list(publisher.scratch.iterdir()) == []


def test_lay_10_a_version_published_during_our_upload_is_kept(publisher: Publisher, extraction: Extraction):
    """LAY-10: this is also true if its manifest is written between this attempt's listing and first replace."""
    store = make_store()

    def publish_others(operation: str, _key: str) -> None:
        if operation == "create" and not store.objects:
            for key in KEYS:
                store.hold(key, b"real rows xyz")
            store.hold(REAL.manifest_key, REAL.manifest.to_bytes())

    store.before = publish_others
    publisher.publish(store, extraction)
    assert store.contents() == dict.fromkeys(KEYS, b"real rows xyz") | {REAL.manifest_key: REAL.manifest.to_bytes()}
    assert store.did("replace") == []


def test_lay_10_other_rows_in_an_incomplete_version_are_replaced(publisher: Publisher, extraction: Extraction):
    """LAY-10: an incomplete version's objects are not kept, so that views of the chain are not mixed."""
    others = dict.fromkeys(KEYS, b"real rows xyz") | {REAL.manifest_key: REAL.manifest.to_bytes()}
    store = holding(others | {KEYS[2]: b"garbage"})
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE


def test_lay_10_complete_data_stored_after_the_listing_are_not_replaced(publisher: Publisher, extraction: Extraction):
    """LAY-10: the replace fails because the object has changed; it is proved again and kept."""
    store = holding({KEYS[0]: b"garbage"})

    def complete(operation: str, key: str) -> None:
        if operation in {"get", "replace"} and store.contents()[KEYS[0]] == b"garbage" and key == KEYS[0]:
            operations.append(operation)
            if len(operations) == 2:
                store.hold(KEYS[0], b"real rows cba")

    operations: list[str] = []
    store.before = complete
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE | {KEYS[0]: b"real rows cba"}


def test_lay_10_an_object_deleted_meanwhile_is_created_again(publisher: Publisher, extraction: Extraction):
    """LAY-10: after a 404 to `If-Match` the object is created."""
    store = holding({KEYS[0]: b"garbage"})

    def delete(operation: str, key: str) -> None:
        if operation == "replace" and key == KEYS[0]:
            del store.objects[key]

    store.before = delete
    publisher.publish(store, extraction)
    assert store.contents() == COMPLETE
    assert store.did("create").count(KEYS[0]) == 1


def test_lay_10_an_object_larger_than_one_put_is_not_downloaded(tmp_path: Path):
    """LAY-10: no attempt wrote it, and it could fill the local disk."""
    stored = StoredObject(KEYS[0], SINGLE_PUT_LIMIT_BYTES + 1, "e")
    store = make_store()
    assert asyncio.run(Publisher(tmp_path).prefix(store).prove_object(REAL.chunks[0], stored)) is None
    assert store.journal == []


def test_stored_objects_are_downloaded_one_at_a_time(publisher: Publisher, extraction: Extraction):
    """The local disk needs space for one copy only."""
    store = holding(dict.fromkeys(KEYS, b"real rows cba"))
    copies = []
    store.before = lambda _operation, _key: copies.append(len(list(publisher.scratch.iterdir())))
    publisher.publish(store, extraction)
    assert max(copies) == 1


def test_out_1_of_several_errors_a_fatal_one_is_raised(publisher: Publisher, extraction: Extraction):
    """OUT-1: if two uploads fail, the error that needs a change is reported."""
    unavailable = StoreUnavailable(operation="put", key="k", reason="HTTP 500")
    denied = StoreDenied(operation="put", key="k", reason="HTTP 403")
    store = make_store(
        MemoryFault("create", "0000_to", "after", unavailable, times=1),
        MemoryFault("create", "1000", "after", denied, times=1),
    )

    with pytest.raises(StoreDenied):
        publisher.publish(store, extraction)


def test_lay_10_two_publishers_on_one_prefix_end_with_one_version(tmp_path: Path, extraction: Extraction):
    """LAY-10, PUB-6: the second one keeps the objects of the first, and both succeed."""
    store = make_store()
    publishers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        publishers.append(Publisher(tmp_path / name))

    async def race() -> None:
        await asyncio.gather(*(publisher.publishing(store, extraction) for publisher in publishers))

    asyncio.run(race())
    assert store.contents() == COMPLETE
    assert store.did("replace") == store.did("delete") == []


def test_lay_6_a_prefix_that_keeps_changing_is_a_retryable_error(publisher: Publisher, extraction: Extraction):
    """LAY-6: a writer that keeps adding or changing keys ends the attempt without a publication."""
    store = make_store()

    def disturb(operation: str, _key: str) -> None:
        if operation == "list":
            store.hold(REAL.prefix + "again", b"x")

    store.before = disturb
    with pytest.raises(PrefixContended, match="is created again after every delete") as caught:
        publisher.publish(store, extraction)
    assert caught.value.outcome == "retryable_error"

    def rewrite(operation: str, key: str) -> None:
        if operation == "replace" and key == KEYS[0]:
            store.hold(key, b"garbage")

    store = holding({KEYS[0]: b"garbage"})
    store.before = rewrite
    with pytest.raises(PrefixContended, match="keeps changing"):
        publisher.publish(store, extraction)
    assert REAL.manifest_key not in store.contents()


def test_pub_3_an_error_during_the_upload_leaves_no_manifest(publisher: Publisher, extraction: Extraction):
    """PUB-3, LAY-5: the first error is raised, and no manifest is written."""
    store = make_store()

    def fail(operation: str, key: str) -> None:
        if operation == "create" and key == KEYS[1]:
            raise StoreUnavailable(operation="put", key=key, reason="HTTP 503")

    store.before = fail
    with pytest.raises(StoreUnavailable):
        publisher.publish(store, extraction)
    assert REAL.manifest_key not in store.contents()
