"""Reads the output of a worker: keeps a limited amount of it, and searches all of it for secrets.

A line or a text that is too long is cut, but never within a secret, because no search finds half of one.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from harness.runner.secrecy import MAX_FORM_BYTES

if TYPE_CHECKING:
    from harness.runner.secrecy import Secrets

MAX_OUTPUT_BYTES = 4 * 1024**2
"""The part of each stream that is kept. The rest is read, so that the worker does not block, searched, and dropped."""
MAX_LINE_BYTES = 64 * 1024
LINE_COSTS_BYTES = 200
"""The size of an event besides its text, so that empty lines count, too."""
CHUNK_BYTES = 64 * 1024
CUT = "[the harness: what was written after this is not kept]"


def _chunks(stream: IO[bytes]) -> Callable[[], bytes]:
    # os.read returns what is available, without waiting for a full chunk.
    return lambda: os.read(stream.fileno(), CHUNK_BYTES)


class _Dropped:
    """Searches the output that is not kept."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._tail = secrets, b""
        self.names: set[str] = set()

    def pass_over(self, text: bytes) -> None:
        """Remember the end of the kept output, because a secret may begin there."""
        self._tail = (self._tail + text)[-MAX_FORM_BYTES:]

    def search(self, text: bytes) -> list[str]:
        """Return a line for each secret that was not found before."""
        found = self._secrets.found_in((self._tail + text).decode("latin-1"))
        self.pass_over(text)
        new = [name for name in found if name not in self.names]
        self.names.update(new)
        return [f"[the harness: <secret:{name}> was in output that is not kept]" for name in new]


class Text:
    """The text of a stream, as far as it has been read."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._dropped = secrets, _Dropped(secrets)
        self._kept, self._notes = bytearray(), [CUT]

    def read(self, stream: IO[bytes]) -> None:
        """Read a stream to its end."""
        for chunk in iter(_chunks(stream), b""):
            if len(self._kept) < MAX_OUTPUT_BYTES:
                self._kept += chunk
                self._dropped.pass_over(chunk)
            else:
                self._notes += self._dropped.search(chunk)

    def __str__(self) -> str:
        """Return the text without secrets."""
        text = self._secrets.scrub(bytes(self._kept).decode(errors="replace"))
        complete = len(self._kept) < MAX_OUTPUT_BYTES
        return text if complete else "\n".join([text[:-MAX_FORM_BYTES], *self._notes])


class _Lines:
    """Passes lines to a callback until there are too many."""

    def __init__(self, secrets: Secrets, on_line: Callable[[str], object]) -> None:
        self._secrets, self._on_line = secrets, on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._dropped = _Dropped(secrets)
        self._left, self._pending = MAX_OUTPUT_BYTES, ""

    def feed(self, chunk: bytes) -> None:
        """Process a chunk of the stream."""
        if self._left <= 0:
            self._search(chunk)
            return
        self._dropped.pass_over(chunk)
        *lines, self._pending = (self._pending + self._decoder.decode(chunk)).split("\n")
        if len(self._pending) > MAX_LINE_BYTES:
            clean = self._secrets.scrub(self._pending)
            lines.append(clean[:-MAX_FORM_BYTES])
            self._pending = clean[-MAX_FORM_BYTES:]
        for count, line in enumerate(lines, start=1):
            self._on_line(self._secrets.scrub(line))
            self._left -= len(line) + LINE_COSTS_BYTES
            if self._left <= 0:
                self._on_line(CUT)
                self._search("\n".join([*lines[count:], self._pending]).encode())
                return

    def end(self) -> None:
        """Pass on the last line if it has no newline."""
        if self._left > 0 and self._pending:
            self._on_line(self._secrets.scrub(self._pending))

    def _search(self, text: bytes) -> None:
        for line in self._dropped.search(text):
            self._on_line(line)


def read_lines(stream: IO[bytes], secrets: Secrets, on_line: Callable[[str], object]) -> None:
    """Read a stream to its end, and pass each line to a callback, without its secrets."""
    lines = _Lines(secrets, on_line)
    for chunk in iter(_chunks(stream), b""):
        lines.feed(chunk)
    lines.end()
