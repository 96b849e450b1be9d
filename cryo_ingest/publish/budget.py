"""Limits the number of files and bytes that are uploaded at the same time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BYTES_IN_FLIGHT = 64 * 1024**2
"""Files share the uplink, so more would not be faster."""

FILES_IN_FLIGHT = 8


class UploadBudget:
    """Lets uploads start while their number and bytes are below the limits; a larger file is uploaded alone."""

    def __init__(self, max_bytes: int, max_files: int) -> None:
        self._max_bytes, self._max_files = max_bytes, max_files
        self._bytes = self._files = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def reserve(self, size_bytes: int) -> AsyncIterator[None]:
        """Wait until a file of this size may be uploaded, and count it until the block ends."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._fits(size_bytes))
            self._bytes += size_bytes
            self._files += 1
        try:
            yield
        finally:
            async with self._changed:
                self._bytes -= size_bytes
                self._files -= 1
                self._changed.notify_all()

    def _fits(self, size_bytes: int) -> bool:
        fits = self._bytes + size_bytes <= self._max_bytes and self._files < self._max_files
        return fits or self._files == 0
