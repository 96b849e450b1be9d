"""A chain in memory whose head a test moves, for tests of following the head."""

import hashlib
from collections.abc import Sequence

from cryo_ingest.errors import NodeUnavailable
from cryo_ingest.rpc.results import Header
from cryo_ingest.sync.head import Head


class FakeHeads:
    """A `cryo_ingest.sync.head.HeadReader`; `down` names the pools whose nodes do not answer."""

    def __init__(self, number: int, *, final: int | None = None) -> None:
        self.current = Head(number, final)
        self.down: set[str] = set()
        self.forks: list[int] = []
        self.readings = 0

    async def head(self, pool: str) -> Head:
        """Return the head."""
        self.readings += 1
        if pool in self.down:
            raise NodeUnavailable(endpoint_name="endpoint 1 of 1", method="eth_blockNumber", reason="no answer in time")
        return self.current

    async def headers(self, pool: str, numbers: Sequence[int]) -> list[Header]:
        """Return headers; blocks past the head are missing."""
        await self.head(pool)
        if any(number > self.current.number for number in numbers):
            raise NodeUnavailable(endpoint_name="endpoint 1 of 1", method="eth_getBlockByNumber", reason="null")
        return [self._header(number) for number in numbers]

    def reorganise(self, at: int) -> None:
        """Replace all blocks from `at` on."""
        self.forks.append(at)

    def _header(self, number: int) -> Header:
        return Header(number, self._hash(number), self._hash(number - 1), (), 0, None, None, None, None, None)

    def _hash(self, number: int) -> bytes:
        fork = sum(at <= number for at in self.forks)
        return hashlib.sha256(f"{number} {fork}".encode()).digest()
