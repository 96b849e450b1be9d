"""Publishing once, whatever is on the prefix already: LAY-2 to LAY-11, PUB-4."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cryo_ingest.errors import ModeMismatch, PrefixContended, ProofFailed, StoreUnavailable
from cryo_ingest.layout import Chunk
from cryo_ingest.model import StorageRef, Task, parse_manifest
from cryo_ingest.ports import (
    AlreadyStored,
    Changed,
    ExtractedFile,
    Extraction,
    FileProof,
    StoredObject,
)
from cryo_ingest.publish.upload import publish_files
from cryo_ingest.publish.version import Version, find_published

TASK = Task(
    dataset_uuid="0f8fad5b-d9cb-469f-a165-70867728950e",
    dataset_key="k",
    chain_id=1,
    cryo_dataset_name="blocks",
    rpc_pool="p",
    range_start=0,
    range_end=2500,
    config_hash="h",
)
REAL = Version.of(TASK, mode="real")
KEYS = list(REAL.manifest.parquet_keys)
WHOLE = dict.fromkeys(KEYS, b"real rows abc") | {REAL.manifest_key: REAL.manifest.to_bytes()}


class WordProof:
    """Reads files as words: «real rows abc» is whole, its rows the letters, in any order."""

    async def prove(self, path: Path, chunk: Chunk) -> FileProof:
        """Prove a file of words."""
        words = path.read_bytes().split()
        if len(words) < 3 or words[1] != b"rows":
            raise ProofFailed(file=chunk.name, evidence="no such words")
        digest = path.read_bytes().hex()
        return FileProof(digest, path.stat().st_size, 3, chunk.start, chunk.end - 1, fake=words[0] == b"fake")

    async def same_rows(self, left: Path, right: Path) -> bool:
        """Compare letters as multisets."""
        return sorted(left.read_bytes()) == sorted(right.read_bytes())

    def is_fake(self, footer: bytes) -> bool | None:
        """Read the mark from the first word."""
        return {b"fake": True, b"real": False}.get(footer[:4])


@dataclass
class MemoryStore:
    """A store in memory that keeps a journal and lets a test act just before any operation."""

    objects: dict[str, tuple[bytes, dict[str, str], int]] = field(default_factory=dict)
    journal: list[tuple[str, str]] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda _operation, _key: None
    keeps_metadata: bool = True
    version: int = 0

    def reference(self, prefix: str) -> StorageRef:
        """Name a prefix."""
        return StorageRef("s3", "memory", prefix)

    def _note(self, operation: str, key: str) -> None:
        self.before(operation, key)
        self.journal.append((operation, key))

    def hold(self, key: str, content: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Put an object there, as somebody else would."""
        self.version += 1
        self.objects[key] = (content, dict(metadata or {}), self.version)

    def contents(self) -> dict[str, bytes]:
        """Return what it holds."""
        return {key: content for key, (content, _, _) in self.objects.items()}

    def did(self, operation: str) -> list[str]:
        """Return the keys of one operation, in order."""
        return [key for name, key in self.journal if name == operation]

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List objects."""
        self._note("list", prefix)
        found = {key: value for key, value in self.objects.items() if key.startswith(prefix)}
        return {key: StoredObject(key, len(content), str(version)) for key, (content, _, version) in found.items()}

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return first bytes."""
        self._note("get", key)
        return self.objects[key][0][:max_bytes] if key in self.objects else None

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return last bytes."""
        return await self.read(stored.key, max_bytes=max_bytes)

    async def download(self, key: str, into: Path) -> Mapping[str, str] | None:
        """Write to a file."""
        self._note("get", key)
        if key not in self.objects:
            return None
        into.write_bytes(self.objects[key][0])
        return self.objects[key][1]

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Create."""
        self._note("create", key)
        if key in self.objects:
            raise AlreadyStored
        self.hold(key, body if isinstance(body, bytes) else body.read_bytes(), metadata)

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """Replace."""
        self._note("replace", key)
        if key not in self.objects or str(self.objects[key][2]) != etag:
            raise Changed
        self.hold(key, body if isinstance(body, bytes) else body.read_bytes(), metadata)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete."""
        for key in keys:
            self._note("delete", key)
            self.objects.pop(key, None)


@pytest.fixture
def extraction(tmp_path: Path) -> Extraction:
    """Three whole files, as Cryo would have left them."""
    (tmp_path / "cryo").mkdir()
    files = []
    for chunk in REAL.chunks:
        path = tmp_path / "cryo" / chunk.name
        path.write_bytes(b"real rows abc")
        files.append(ExtractedFile(chunk, path, asyncio.run(WordProof().prove(path, chunk))))
    return Extraction(tuple(files), 1, "binary")


class Publisher:
    """One worker's side of it, with a spool of its own."""

    def __init__(self, folder: Path, version: Version = REAL) -> None:
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.version = version

    def find(self, store: MemoryStore) -> bool:
        """Look whether the version is there."""
        return asyncio.run(find_published(store, self.version, proof=WordProof(), spool=self.spool))

    def publish(self, store: MemoryStore, extraction: Extraction) -> None:
        """Publish."""
        asyncio.run(self.publishing(store, extraction))

    def publishing(self, store: MemoryStore, extraction: Extraction) -> Awaitable[None]:
        """Return the publishing itself."""
        return publish_files(
            store, self.version, extraction, proof=WordProof(), spool=self.spool, metadata={"cryo-sha256": "binary"}
        )


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """A publisher whose spool is empty again when the test ends."""
    return Publisher(tmp_path)


def holding(contents: Mapping[str, bytes]) -> MemoryStore:
    store = MemoryStore()
    for key, content in contents.items():
        store.hold(key, content)
    store.journal.clear()
    return store


def test_lay_5_files_come_first_the_manifest_last_and_nothing_else(publisher: Publisher, extraction: Extraction):
    """LAY-2, LAY-3, LAY-5, LAY-6, PUB-4: create-only PUTs, the manifest after every file it lists."""
    store = MemoryStore()
    publisher.publish(store, extraction)
    assert sorted(store.did("create")[:3]) == KEYS
    assert store.did("create")[3:] == [REAL.manifest_key]
    assert store.did("replace") == store.did("delete") == []
    assert store.contents() == WHOLE
    assert parse_manifest(store.contents()[REAL.manifest_key]) == REAL.manifest
    assert list(publisher.spool.iterdir()) == []


def test_lay_8_each_file_says_what_was_proved_of_it(publisher: Publisher, extraction: Extraction):
    """LAY-8: digest, rows, extent and level, and the provenance beside them; the manifest says nothing of the kind."""
    store = MemoryStore()
    publisher.publish(store, extraction)
    assert store.objects[KEYS[1]][1] == {
        "sha256": b"real rows abc".hex(),
        "rows": "3",
        "block-min": "1000",
        "block-max": "1999",
        "evidence": "rows",
        "cryo-sha256": "binary",
    }
    assert store.objects[REAL.manifest_key][1] == {}


def test_lay_10_a_whole_version_is_found_and_nothing_is_written(publisher: Publisher):
    """LAY-10: published as it stands; every object was read, none was put."""
    store = holding(WHOLE)
    assert publisher.find(store)
    assert store.did("create") + store.did("replace") + store.did("delete") == []
    assert set(store.did("get")) == set(WHOLE)
    assert list(publisher.spool.iterdir()) == []


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
    store = MemoryStore()
    facts = {"rows": "3", "block-min": "0", "block-max": "999", "evidence": "rows"}
    store.hold(KEYS[0], b"real rows cba", {"sha256": b"real rows cba".hex(), **facts})
    publisher.publish(store, extraction)
    assert store.contents() == WHOLE | {KEYS[0]: b"real rows cba"}
    assert KEYS[0] not in store.did("replace")


def test_lay_8_an_adopted_object_gets_true_metadata_with_its_own_bytes(publisher: Publisher, extraction: Extraction):
    """LAY-8, LAY-10: a whole object that says nothing of itself is stored again, byte for byte, saying the truth."""
    store = holding({KEYS[0]: b"real rows cba"})
    publisher.publish(store, extraction)
    content, metadata, _ = store.objects[KEYS[0]]
    assert content == b"real rows cba"
    assert metadata["sha256"] == b"real rows cba".hex()
    assert list(publisher.spool.iterdir()) == []


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


def test_lay_10_a_lost_answer_to_our_own_put_is_adopted(publisher: Publisher, extraction: Extraction):
    """LAY-10: the create took effect, its answer was lost, the retry finds our own object and keeps it."""
    store = MemoryStore()

    def store_first(operation: str, key: str) -> None:
        if operation == "create" and key not in store.objects:
            content = REAL.manifest.to_bytes() if key == REAL.manifest_key else b"real rows abc"
            rows = next((file.proof for file in extraction.files if REAL.key(file.chunk) == key), None)
            told = {} if rows is None else _told(rows)
            store.hold(key, content, told)

    store.before = store_first
    publisher.publish(store, extraction)
    assert store.contents() == WHOLE
    assert store.did("replace") == []


def _told(proof: FileProof) -> dict[str, str]:
    extent = {"block-min": str(proof.block_min), "block-max": str(proof.block_max)}
    return {"sha256": proof.sha256, "rows": str(proof.rows), "evidence": "rows"} | extent


def test_lay_10_two_publishers_on_one_prefix_end_with_one_version(tmp_path: Path, extraction: Extraction):
    """LAY-10, PUB-6: whoever comes second adopts; both find the prefix exact."""
    store = MemoryStore()
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
    store = MemoryStore()

    def disturb(operation: str, _key: str) -> None:
        if operation == "list":
            store.hold(REAL.prefix + "again", b"x")

    store.before = disturb
    with pytest.raises(PrefixContended, match="keep coming back") as caught:
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
    store = MemoryStore()

    def fail(operation: str, key: str) -> None:
        if operation == "create" and key == KEYS[1]:
            raise StoreUnavailable(operation="put", key=key, reason="HTTP 503")

    store.before = fail
    with pytest.raises(StoreUnavailable):
        publisher.publish(store, extraction)
    assert REAL.manifest_key not in store.contents()
