"""LSE-3: no request is sent to the store without the lease."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest
from support.virtual_time import VirtualClock

from cryo_ingest.ports import AlreadyStored, Changed, ObjectStore, StoredObject
from cryo_ingest.serve.lease import Lease
from cryo_ingest.serve.lease_checked_store import LeaseCheckedStore
from cryo_ingest.serve.ports import LeaseLost, LeasePeriod
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
    "check_refuses_overwrite": (("p/a", b"old"), {"metadata": {}}),
}


def test_lse_3_every_operation_of_a_store_is_checked():
    """LSE-3: a new operation of the port must be added here."""
    operations = {name for name, member in vars(ObjectStore).items() if inspect.iscoroutinefunction(member)}
    assert operations == {*CALLS, "matches"}, "matches compares a listing with local bytes"


@pytest.mark.parametrize("operation", CALLS)
def test_lse_3_no_request_starts_once_the_lease_is_lost(operation: str):
    """LSE-3: the operation raises LeaseLost, and the store is unchanged."""
    clock = VirtualClock()
    store = MemoryStore(AlreadyStored, Changed)
    checked = LeaseCheckedStore(store, Lease(LeasePeriod(1000, 60), clock))

    async def main() -> None:
        await checked.create("p/a", b"old", metadata={})
        before = await checked.list("p/")
        clock.now = 1055
        positional, named = CALLS[operation]
        with pytest.raises(LeaseLost):
            await getattr(checked, operation)(*positional, **named)
        assert await store.list("p/") == before

    asyncio.run(main())
