"""LAY-5: what the store holds is compared with what was sent, before the manifest is written and after."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from support.proving import JumpingClock
from support.publishing import KEYS, REAL, WHOLE, Publisher, holding, make_store

from cryo_ingest.errors import PrefixContended, StoredBytesDiffer, StoreDenied, StoreUnavailable
from cryo_ingest.ports import AlreadyStored, Changed, Extraction, StoredObject
from cryo_ingest.publish.retrying_store import MAX_RETRY_SECONDS, RetryingStore
from harness.stores.memory import MemoryStore

OTHER_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda body: body[: len(body) // 2],
    "more": lambda body: b"1f;chunk-signature=0\r\n" + body,
    "as many": lambda body: body[::-1],
}


class LyingStore(MemoryStore):
    """Answers every PUT that matches with success and keeps other bytes; its ETags tell nothing unless it says so."""

    spoils: Callable[[bytes], bytes] = OTHER_BYTES["empty"]
    suffix = ".parquet"
    etags_tell = False

    def hold(self, key: str, body: bytes, metadata: object = None) -> None:
        """Keep other bytes."""
        del metadata
        super().hold(key, self.spoils(body) if key.endswith(self.suffix) else body)

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Compare sizes, as a store without usable ETags can."""
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        return None if size == stored.size_bytes else False


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        *((form, suffix) for form in OTHER_BYTES for suffix in ("parquet", "json")),
        *((form, "2499.parquet") for form in ("empty", "half", "more")),
    ],
)
def test_lay_5_a_store_that_keeps_other_bytes_gets_no_publication(
    form: str, suffix: str, tmp_path: Path, extraction: Extraction
):
    """LAY-5: retryable, with key and sizes named; no manifest over files that are not there; never published.

    As many other bytes in one file of several are not seen where no ETag is a digest: one file is read back, not all.
    """
    store = LyingStore(AlreadyStored, Changed)
    store.spoils, store.suffix = OTHER_BYTES[form], suffix
    for attempt in range(2):
        (tmp_path / f"{attempt}").mkdir()
        publisher = Publisher(tmp_path / f"{attempt}")
        assert not publisher.find(store)
        with pytest.raises(StoredBytesDiffer) as caught:
            publisher.publish(store, extraction)
        assert caught.value.key.endswith(suffix)
        assert caught.value.outcome == "retryable_error"
        assert (REAL.manifest_key in store.contents()) == (suffix == "json")
        assert list(publisher.scratch.iterdir()) == []


def test_lay_10_an_adopted_object_that_is_replaced_meanwhile_is_not_published(
    publisher: Publisher, extraction: Extraction
):
    """LAY-10: what was judged under one ETag and is another object at the end has to be judged again."""
    store = holding(WHOLE | {REAL.manifest_key: b"{"})

    def replace(operation: str, key: str) -> None:
        if (operation, key) == ("replace", REAL.manifest_key):
            store.hold(KEYS[0], b"garbage here.")

    store.before = replace
    with pytest.raises(PrefixContended, match="was replaced"):
        publisher.publish(store, extraction)


def test_lay_10_a_version_that_changes_while_it_is_looked_at_is_not_taken(publisher: Publisher):
    """LAY-10: also when the version is published as it stands."""
    store = holding(WHOLE)
    gets: list[str] = []

    def change(operation: str, key: str) -> None:
        if operation == "get":
            gets.append(key)
        if operation == "list" and len(gets) > len(WHOLE):
            store.hold(KEYS[0], b"garbage")

    store.before = change
    assert not publisher.find(store)


def patient(store: MemoryStore, clock: JumpingClock, deadline: float = 10_000.0) -> RetryingStore:
    """Wrap a store."""
    return RetryingStore(store, clock, Random(1), deadline=deadline)


@pytest.mark.parametrize("seconds", [20.0, 200.0])
def test_a_bad_minute_of_the_store_does_not_cost_the_range(seconds: float):
    """OUT-2: operations are repeated with backoff, minutes long, and the store is asked less and less often."""
    store, clock = make_store(), JumpingClock()

    def down(_operation: str, key: str) -> None:
        if clock.now < 1000.0 + seconds:
            raise StoreUnavailable(operation="put", key=key, reason="HTTP 503 SlowDown")

    store.before = down
    asyncio.run(patient(store, clock).create("k", b"x", metadata={}))
    assert store.contents() == {"k": b"x"}
    assert len(clock.waits) < 20
    assert max(clock.waits) <= 30.0


@pytest.mark.parametrize(("until", "latest"), [(10_000.0, 1000.0 + MAX_RETRY_SECONDS), (1010.0, 1010.0)])
def test_patience_ends_with_the_attempt(deadline: float, latest: float):
    """OUT-2: at the attempt's end, or after five minutes, the fault is reported as what it is."""
    store, clock = make_store(), JumpingClock()

    def down(operation: str, key: str) -> None:
        raise StoreUnavailable(operation=operation, key=key, reason="HTTP 503")

    store.before = down
    with pytest.raises(StoreUnavailable):
        asyncio.run(patient(store, clock, deadline).list("p/"))
    assert clock.now <= latest


def test_patience_is_for_faults_that_pass():
    """OUT-4: a denial is reported at once."""
    store, clock = make_store(), JumpingClock()

    def denied(operation: str, key: str) -> None:
        raise StoreDenied(operation=operation, key=key, reason="HTTP 403")

    store.before = denied
    with pytest.raises(StoreDenied):
        asyncio.run(patient(store, clock).list("p/"))
    assert clock.waits == []
