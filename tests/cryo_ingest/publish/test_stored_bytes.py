"""LAY-5: the stored bytes are compared with those sent, before and after the manifest is written."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from support.proving import JumpingClock
from support.publishing import COMPLETE, KEYS, REAL, Publisher, holding, make_store

from cryo_ingest.errors import PrefixContended, StoredBytesDiffer, StoreDenied, StoreUnavailable
from cryo_ingest.ports import AlreadyStored, Changed, Extraction, StoredObject
from cryo_ingest.publish.retrying_store import MAX_RETRY_SECONDS, RetryingStore
from harness.stores.memory import MemoryStore

OTHER_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda body: body[: len(body) // 2],
    "more": lambda body: b"1f;chunk-signature=0\r\n" + body,
    "other bytes of the same size": lambda body: body[::-1],
}


class CorruptingStore(MemoryStore):
    """Stores other bytes than were sent, for keys with a suffix; its ETags are not digests."""

    corrupt: Callable[[bytes], bytes] = OTHER_BYTES["empty"]
    suffix = ".parquet"

    def hold(self, key: str, body: bytes, metadata: object = None) -> None:
        """Store other bytes."""
        del metadata
        super().hold(key, self.corrupt(body) if key.endswith(self.suffix) else body)

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Compare sizes, as for a store whose ETags are not digests."""
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        return None if size == stored.size_bytes else False


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        *((form, suffix) for form in OTHER_BYTES for suffix in ("parquet", "json")),
        *((form, "2499.parquet") for form in ("empty", "half", "more")),
    ],
)
def test_lay_5_a_store_that_stores_other_bytes_gets_no_publication(
    form: str, suffix: str, tmp_path: Path, extraction: Extraction
):
    """LAY-5: the error is retryable and names the key; no manifest is written for wrong files.

    Other bytes of the same size in one of several files are not detected without digests: only one file is read back.
    """
    store = CorruptingStore(AlreadyStored, Changed)
    store.corrupt, store.suffix = OTHER_BYTES[form], suffix
    for attempt in range(2):
        (tmp_path / f"{attempt}").mkdir()
        publisher = Publisher(tmp_path / f"{attempt}")
        assert not publisher.use_existing(store)
        with pytest.raises(StoredBytesDiffer) as caught:
            publisher.publish(store, extraction)
        assert caught.value.key.endswith(suffix)
        assert caught.value.outcome == "retryable_error"
        assert (REAL.manifest_key in store.contents()) == (suffix == "json")
        assert list(publisher.scratch.iterdir()) == []


def test_lay_10_an_adopted_object_that_was_replaced_is_not_published(publisher: Publisher, extraction: Extraction):
    """LAY-10: its ETag differs from the one that was proved."""
    store = holding(COMPLETE | {REAL.manifest_key: b"{"})

    def replace(operation: str, key: str) -> None:
        if (operation, key) == ("replace", REAL.manifest_key):
            store.hold(KEYS[0], b"garbage here.")

    store.before = replace
    with pytest.raises(PrefixContended, match="was replaced"):
        publisher.publish(store, extraction)


def test_lay_10_a_version_that_changes_while_it_is_read_is_not_adopted(publisher: Publisher):
    """LAY-10: objects are compared before and after."""
    store = holding(COMPLETE)
    gets: list[str] = []

    def change(operation: str, key: str) -> None:
        if operation == "get":
            gets.append(key)
        if operation == "list" and len(gets) > len(COMPLETE):
            store.hold(KEYS[0], b"garbage")

    store.before = change
    assert not publisher.use_existing(store)


def retrying(store: MemoryStore, clock: JumpingClock, deadline: float = 10_000.0) -> RetryingStore:
    """Wrap a store in a RetryingStore."""
    return RetryingStore(store, clock=clock, random=Random(1), deadline=deadline)


@pytest.mark.parametrize("seconds", [20.0, 200.0])
def test_out_2_a_short_outage_of_the_store_does_not_fail_the_attempt(seconds: float):
    """OUT-2: operations are retried for minutes, with increasing pauses."""
    store, clock = make_store(), JumpingClock()

    def down(_operation: str, key: str) -> None:
        if clock.now < 1000.0 + seconds:
            raise StoreUnavailable(operation="put", key=key, reason="HTTP 503 SlowDown")

    store.before = down
    asyncio.run(retrying(store, clock).create("k", b"x", metadata={}))
    assert store.contents() == {"k": b"x"}
    assert len(clock.waits) < 20
    assert max(clock.waits) <= 30.0


@pytest.mark.parametrize(("deadline", "latest"), [(10_000.0, 1000.0 + MAX_RETRY_SECONDS), (1010.0, 1010.0)])
def test_out_2_retries_end_at_the_deadline_or_after_five_minutes(deadline: float, latest: float):
    """OUT-2: the last error is raised then."""
    store, clock = make_store(), JumpingClock()

    def down(operation: str, key: str) -> None:
        raise StoreUnavailable(operation=operation, key=key, reason="HTTP 503")

    store.before = down
    with pytest.raises(StoreUnavailable):
        asyncio.run(retrying(store, clock, deadline).list("p/"))
    assert clock.now <= latest


def test_out_4_a_fatal_error_is_not_retried():
    """OUT-4: StoreDenied is raised at once."""
    store, clock = make_store(), JumpingClock()

    def denied(operation: str, key: str) -> None:
        raise StoreDenied(operation=operation, key=key, reason="HTTP 403")

    store.before = denied
    with pytest.raises(StoreDenied):
        asyncio.run(retrying(store, clock).list("p/"))
    assert clock.waits == []
