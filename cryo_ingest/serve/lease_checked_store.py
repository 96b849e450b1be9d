"""An object store that sends no request unless the lease is valid (LSE-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cryo_ingest.publish.store_wrapper import StoreWrapper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.serve.lease import Lease

T = TypeVar("T")


class LeaseCheckedStore(StoreWrapper):
    """Another store's operations, each of which raises `LeaseLost` if the lease is lost."""

    def __init__(self, store: ObjectStore, lease: Lease) -> None:
        super().__init__(store)
        self._lease = lease

    async def _run(self, operation: Callable[[], Awaitable[T]]) -> T:
        self._lease.check()
        return await operation()
