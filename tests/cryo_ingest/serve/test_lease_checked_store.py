"""LSE-3: nothing is asked of the store without the lease."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest
from support.virtual_time import VirtualClock

from cryo_ingest.ports import AlreadyStored, Changed, ObjectStore, StoredObject
from cryo_ingest.serve.lease import Lease
from cryo_ingest.serve.lease_checked_store import LeaseCheckedStore
from cryo_ingest.serve.ports import Grant, LeaseLost
from harness.stores.memory import MemoryStore

STORED = StoredObject("p/a", 3, "etag")
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "list": (("p/",), {}),
    "read": (("p/a",), {"max_bytes": 3}),
    "read_tail": ((STORED,), {"max_bytes": 3}),
    "download": ((STORED, Path("none")), {}),
    "create": (("p/b", b"new"), {"metadata": {}}),
    "replace": (("p/a", b"new"), {"metadata": {}, "etag": "etag"}),
    "delete": ((["p/a"],), {}),
    "ensure_create_only": (("p/a", b"old"), {"metadata": {}}),
}


def test_lse_3_the_guard_covers_every_operation_that_a_store_has():
    """LSE-3: a new operation of the port can't slip past."""
    operations = {name for name, member in vars(ObjectStore).items() if inspect.iscoroutinefunction(member)}
    assert operations == {*CALLS, "matches"}, "matches compares a listing with local bytes"


@pytest.mark.parametrize("operation", CALLS)
def test_lse_3_no_request_starts_once_the_lease_is_lost(operation: str):
    """LSE-3: refused before the store hears of it."""
    clock = VirtualClock()
    store = MemoryStore(AlreadyStored, Changed)
    guarded = LeaseCheckedStore(store, Lease(Grant(1000, 60), clock))

    async def main() -> None:
        await guarded.create("p/a", b"old", metadata={})
        before = await guarded.list("p/")
        clock.now = 1055
        positional, named = CALLS[operation]
        with pytest.raises(LeaseLost):
            await getattr(guarded, operation)(*positional, **named)
        assert await store.list("p/") == before

    asyncio.run(main())
