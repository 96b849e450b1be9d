"""How much may be on its way to the store at once: a number of files and of bytes. It knows nothing of stores."""

from __future__ import annotations

import asyncio

BYTES_IN_FLIGHT = 64 * 1024**2
"""How much is on its way at once; a larger file goes alone. Files share the uplink, so more would gain nothing."""

FILES_IN_FLIGHT = 8


class Budget:
    """Lets uploads begin while both their number and their bytes are below a limit; a larger one goes alone."""

    def __init__(self, bytes_limit: int, files_limit: int) -> None:
        self._bytes_limit, self._files_limit = bytes_limit, files_limit
        self._bytes = self._files = 0
        self._changed = asyncio.Condition()

    def of(self, size_bytes: int) -> Share:
        """Wait, in `async with`, until so many bytes may be on their way, and hold them until its end."""
        return Share(self, size_bytes)

    async def take(self, size_bytes: int) -> None:
        """Wait for room and take it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._fits(size_bytes))
            self._bytes += size_bytes
            self._files += 1

    async def give_back(self, size_bytes: int) -> None:
        """Make room again."""
        async with self._changed:
            self._bytes -= size_bytes
            self._files -= 1
            self._changed.notify_all()

    def _fits(self, size_bytes: int) -> bool:
        fits = self._bytes + size_bytes <= self._bytes_limit and self._files < self._files_limit
        return fits or self._files == 0


class Share:
    """Room for one file, held while the `async with` block lasts."""

    def __init__(self, budget: Budget, size_bytes: int) -> None:
        self._budget, self._size_bytes = budget, size_bytes

    async def __aenter__(self) -> None:
        await self._budget.take(self._size_bytes)

    async def __aexit__(self, *_: object) -> None:
        await self._budget.give_back(self._size_bytes)
