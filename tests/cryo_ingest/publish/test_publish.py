"""Publishing once, whatever is on the prefix already: LAY-2 to LAY-11, PUB-4."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from support.publishing import KEYS, REAL, TASK, WHOLE, Publisher, holding, make_store

from cryo_ingest.errors import ModeMismatch, PrefixContended, StoreDenied, StoreUnavailable
from cryo_ingest.model import parse_manifest
from cryo_ingest.ports import AlreadyStored, Changed, Extraction, StoredObject
from cryo_ingest.publish.version import Version
from cryo_ingest.settings import SINGLE_PUT_LIMIT_BYTES
from harness.stores.memory import MemoryFault, Operation


def test_lay_5_files_come_first_the_manifest_last_and_nothing_else(publisher: Publisher, extraction: Extraction):
    """LAY-2, LAY-3, LAY-5, LAY-6, PUB-4: create-only PUTs, the manifest after every file it lists."""
    store = make_store()
    publisher.publish(store, extraction)
    assert sorted(store.did("create")[:3]) == KEYS
    assert store.did("create")[3:] == [REAL.manifest_key]
    assert store.did("replace") == store.did("delete") == []
    assert store.contents() == WHOLE
    assert parse_manifest(store.contents()[REAL.manifest_key]) == REAL.manifest
    assert list(publisher.scratch.iterdir()) == []


def test_lay_8_each_file_says_what_was_proved_of_it(publisher: Publisher, extraction: Extraction):
    """LAY-8: digest, rows, extent and level, and the provenance beside them; the manifest says nothing of the kind."""
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


def test_lay_10_a_whole_version_is_found_and_nothing_is_written(publisher: Publisher):
    """LAY-10: published as it stands; every object was read, none was put."""
    store = holding(WHOLE)
    assert publisher.find(store)
    assert store.did("create") + store.did("replace") + store.did("delete") == []
    assert set(store.did("get")) == set(WHOLE)
    assert list(publisher.scratch.iterdir()) == []


@pytest.mark.parametrize(
    "spoil",
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
def test_lay_10_a_torn_version_is_not_taken_and_is_mended(
    spoil: dict[str, bytes | None], publisher: Publisher, extraction: Extraction
):
    """LAY-10: looking changes nothing; publishing then makes it whole, objects before the manifest."""
    torn = {key: content for key, content in (WHOLE | spoil).items() if content is not None}
    store = holding(torn)
    assert not publisher.find(store)
    assert store.contents() == torn
    publisher.publish(store, extraction)
    assert store.contents() == WHOLE
    put = [key for operation, key in store.journal if operation in {"create", "replace"}]
    assert put[-1] == REAL.manifest_key


def test_lay_10_a_recorded_digest_that_does_not_match_the_bytes_makes_it_broken(publisher: Publisher):
    """LAY-10: recorded metadata count once the bytes match; when they don't, the object is not whole."""
    store = holding(WHOLE)
    store.hold(KEYS[0], WHOLE[KEYS[0]], {"sha256": "of other bytes"})
    assert not publisher.find(store)


def test_lay_10_the_same_rows_in_another_order_are_adopted(publisher: Publisher, extraction: Extraction):
    """LAY-10: some datasets are not byte-stable; what another attempt stored whole is never replaced by other bytes."""
    store = make_store()
    facts = {"rows": "3", "block-min": "0", "block-max": "999", "evidence": "rows"}
    store.hold(KEYS[0], b"real rows cba", {"sha256": b"real rows cba".hex(), **facts})
    publisher.publish(store, extraction)
    assert store.contents() == WHOLE | {KEYS[0]: b"real rows cba"}
    assert KEYS[0] not in store.did("replace")


def test_lay_8_an_adopted_object_gets_true_metadata_with_its_own_bytes(publisher: Publisher, extraction: Extraction):
    """LAY-8, LAY-10: a whole object that says nothing of itself is stored again, byte for byte, saying the truth."""
    store = holding({KEYS[0]: b"real rows cba"})
    publisher.publish(store, extraction)
    stored = store.objects[KEYS[0]]
    assert stored.body == b"real rows cba"
    assert stored.metadata["sha256"] == b"real rows cba".hex()
    assert list(publisher.scratch.iterdir()) == []


@pytest.mark.parametrize("stored", [b"", b"garbage", b"real rows abd", b"real rows"])
def test_lay_10_an_object_that_is_not_whole_or_holds_other_rows_is_replaced(
    stored: bytes, publisher: Publisher, extraction: Extraction
):
    """LAY-10: broken objects give way, by `If-Match` on what was judged."""
    store = holding({KEYS[2]: stored})
    publisher.publish(store, extraction)
    assert store.contents() == WHOLE
    assert store.did("replace") == [KEYS[2]]


def test_lay_6_leftovers_go_before_the_manifest_is_written(publisher: Publisher, extraction: Extraction):
    """LAY-6: keys that no attempt of this version would write are deleted; neighbours are not touched."""
    neighbour = REAL.prefix.rstrip("/") + "0/other.parquet"
    store = holding({REAL.prefix + "old.parquet": b"garbage", REAL.prefix + "a/b": b"x", neighbour: b"real rows x"})
    publisher.publish(store, extraction)
    assert store.contents() == WHOLE | {neighbour: b"real rows x"}
    assert store.journal.index(("delete", REAL.prefix + "old.parquet")) < store.journal.index(
        ("create", REAL.manifest_key)
    )


def test_lay_6_leftovers_beside_a_whole_version_go_too(publisher: Publisher):
    """LAY-6: also when the version is published as it stands."""
    store = holding(WHOLE | {REAL.prefix + "stray.parquet": b"garbage"})
    assert publisher.find(store)
    assert store.contents() == WHOLE


@pytest.mark.parametrize("mode", ["real", "fake"])
@pytest.mark.parametrize("key", [KEYS[0], REAL.prefix + "stray.parquet"])
def test_lay_11_data_of_the_other_mode_stop_everything(mode: str, key: str, tmp_path: Path, extraction: Extraction):
    """LAY-11: in either mode the other's data are fatal and named; nothing is replaced or deleted."""
    other = b"real rows abc" if mode == "fake" else b"fake rows abc"
    publisher = Publisher(tmp_path, Version.of(TASK, mode=mode))
    contents = {key: other, REAL.prefix + "garbage": b"x"}
    store = holding(contents)
    with pytest.raises(ModeMismatch, match=key):
        publisher.find(store)
    assert store.contents() == contents
    with pytest.raises(ModeMismatch, match=key):
        publisher.publish(store, extraction)
    assert contents.items() <= store.contents().items()
    assert REAL.manifest_key not in store.contents()


@pytest.mark.parametrize("key", ["1000_to", r"_manifest\.json"])
def test_lay_10_a_lost_answer_to_our_own_create_is_adopted(key: str, publisher: Publisher, extraction: Extraction):
    """LAY-10: the create took effect, the client's own retry was told so, and the object is found to be ours."""
    store = make_store(MemoryFault("create", key, "after", AlreadyStored(), times=1))
    publisher.publish(store, extraction)
    assert store.fired
    assert store.contents() == WHOLE
    assert store.did("replace") == []


@pytest.mark.parametrize("key", ["1000_to", r"_manifest\.json"])
def test_lay_10_a_lost_answer_to_our_own_replace_is_adopted(key: str, publisher: Publisher, extraction: Extraction):
    """LAY-10: a 412 to `If-Match` after our own replace took effect: the key is read again and found to be ours."""
    store = holding(
        {KEYS[1]: b"garbage", REAL.manifest_key: b"{"}, MemoryFault("replace", key, "after", Changed(), times=1)
    )
    publisher.publish(store, extraction)
    assert store.fired
    assert store.contents() == WHOLE
    assert sorted(store.did("replace")) == [REAL.manifest_key, KEYS[1]]


@pytest.mark.parametrize("operation", ["list", "get", "create", "replace", "delete"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_lay_10_an_attempt_after_one_that_broke_off_anywhere_ends_whole(
    operation: Operation, when: Literal["before", "after"], tmp_path: Path, extraction: Extraction
):
    """LAY-5, LAY-10, PUB-3: after a break anywhere a readable manifest means whole files; the next attempt mends."""
    before = {KEYS[0]: b"real rows cba", KEYS[1]: b"garbage", REAL.prefix + "stray": b"x", REAL.manifest_key: b"{"}
    broken = StoreUnavailable(operation=operation, key="k", reason="HTTP 500")
    for nth in range(1, 30):
        store = holding(before, MemoryFault(operation, "", when, broken, nth=nth, times=1))
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
            assert WHOLE | {KEYS[0]: b"real rows cba"} == store.contents()
        if not publisher.find(store):
            publisher.publish(store, extraction)
        assert store.contents() == WHOLE | {KEYS[0]: b"real rows cba"}
        assert list(publisher.scratch.iterdir()) == []
    pytest.fail("publishing never came to its end")


def test_lay_10_a_version_published_meanwhile_with_other_rows_stands(publisher: Publisher, extraction: Extraction):
    """LAY-10, PUB-6: what another attempt has published stands, though our node gave other rows."""
    other = dict.fromkeys(KEYS, b"real rows xyz") | {REAL.manifest_key: REAL.manifest.to_bytes()}
    store = holding(other)
    publisher.publish(store, extraction)
    assert store.contents() == other
    assert store.did("replace") == store.did("delete") == []
    assert list(publisher.scratch.iterdir()) == []


def test_lay_10_a_version_published_while_we_upload_stands(publisher: Publisher, extraction: Extraction):
    """LAY-10: also when its manifest comes after our last look, before the first object that we would replace."""
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


def test_lay_10_other_rows_in_a_torn_version_give_way(publisher: Publisher, extraction: Extraction):
    """LAY-10: the manifest of a torn version protects nothing, and views of the chain are not mixed."""
    torn = dict.fromkeys(KEYS, b"real rows xyz") | {KEYS[2]: b"garbage", REAL.manifest_key: REAL.manifest.to_bytes()}
    store = holding(torn)
    publisher.publish(store, extraction)
    assert store.contents() == WHOLE


def test_lay_10_whole_data_that_came_after_the_look_are_not_replaced(publisher: Publisher, extraction: Extraction):
    """LAY-10: what was judged broken is not what is there any more; it is judged again and adopted."""
    store = holding({KEYS[0]: b"garbage"})

    def mend(operation: str, key: str) -> None:
        if operation in {"get", "replace"} and store.contents()[KEYS[0]] == b"garbage" and key == KEYS[0]:
            mended.append(operation)
            if len(mended) == 2:
                store.hold(KEYS[0], b"real rows cba")

    mended: list[str] = []
    store.before = mend
    publisher.publish(store, extraction)
    assert store.contents() == WHOLE | {KEYS[0]: b"real rows cba"}


def test_lay_10_an_object_deleted_in_between_is_created_again(publisher: Publisher, extraction: Extraction):
    """LAY-10: a 404 to `If-Match` means create."""
    store = holding({KEYS[0]: b"garbage"})

    def vanish(operation: str, key: str) -> None:
        if operation == "replace" and key == KEYS[0]:
            del store.objects[key]

    store.before = vanish
    publisher.publish(store, extraction)
    assert store.contents() == WHOLE
    assert store.did("create").count(KEYS[0]) == 1


def test_an_object_that_no_put_could_have_made_is_not_downloaded(tmp_path: Path):
    """LAY-10: more than S3 takes in one PUT is no attempt's work, and the local disk is not filled with it."""
    stored = StoredObject(KEYS[0], SINGLE_PUT_LIMIT_BYTES + 1, "e")
    store = make_store()
    assert asyncio.run(Publisher(tmp_path).prefix(store).judge(REAL.chunks[0], stored)) is None
    assert store.journal == []


def test_stored_objects_come_to_the_local_disk_one_at_a_time(publisher: Publisher, extraction: Extraction):
    """A prefix full of other attempts' files costs the room of one."""
    store = holding(dict.fromkeys(KEYS, b"real rows cba"))
    most = []
    store.before = lambda _operation, _key: most.append(len(list(publisher.scratch.iterdir())))
    publisher.publish(store, extraction)
    assert max(most) == 1


def test_a_fatal_fault_goes_before_a_retryable_one(publisher: Publisher, extraction: Extraction):
    """OUT-1: where two uploads fail, the one that needs somebody to act is told."""
    unavailable = StoreUnavailable(operation="put", key="k", reason="HTTP 500")
    denied = StoreDenied(operation="put", key="k", reason="HTTP 403")
    store = make_store(
        MemoryFault("create", "0000_to", "after", unavailable, times=1),
        MemoryFault("create", "1000", "after", denied, times=1),
    )

    with pytest.raises(StoreDenied):
        publisher.publish(store, extraction)


def test_lay_10_two_publishers_on_one_prefix_end_with_one_version(tmp_path: Path, extraction: Extraction):
    """LAY-10, PUB-6: whoever comes second adopts; both find the prefix exact."""
    store = make_store()
    publishers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        publishers.append(Publisher(tmp_path / name))

    async def race() -> None:
        await asyncio.gather(*(publisher.publishing(store, extraction) for publisher in publishers))

    asyncio.run(race())
    assert store.contents() == WHOLE
    assert store.did("replace") == store.did("delete") == []


def test_lay_10_a_prefix_that_will_not_settle_is_given_up_retryably(publisher: Publisher, extraction: Extraction):
    """LAY-6: a writer that keeps adding keys, or one that keeps changing a key, ends the attempt without publishing."""
    store = make_store()

    def disturb(operation: str, _key: str) -> None:
        if operation == "list":
            store.hold(REAL.prefix + "again", b"x")

    store.before = disturb
    with pytest.raises(PrefixContended, match="back whenever") as caught:
        publisher.publish(store, extraction)
    assert caught.value.outcome == "retryable_error"

    def rewrite(operation: str, key: str) -> None:
        if operation == "replace" and key == KEYS[0]:
            store.hold(key, b"garbage")

    store = holding({KEYS[0]: b"garbage"})
    store.before = rewrite
    with pytest.raises(PrefixContended, match="changes whenever"):
        publisher.publish(store, extraction)
    assert REAL.manifest_key not in store.contents()


def test_pub_3_a_fault_in_mid_upload_leaves_no_manifest(publisher: Publisher, extraction: Extraction):
    """PUB-3, LAY-5: the first fault ends the upload as itself, and no manifest is written."""
    store = make_store()

    def fail(operation: str, key: str) -> None:
        if operation == "create" and key == KEYS[1]:
            raise StoreUnavailable(operation="put", key=key, reason="HTTP 503")

    store.before = fail
    with pytest.raises(StoreUnavailable):
        publisher.publish(store, extraction)
    assert REAL.manifest_key not in store.contents()
