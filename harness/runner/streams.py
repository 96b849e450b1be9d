"""What a worker writes, read as it comes: so much of it is kept, and all of it is searched for secrets.

A line or a text that is too long is cut, but never within a secret: half of one would be found by nobody.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from harness.runner.secrecy import LONGEST_FORM_BYTES

if TYPE_CHECKING:
    from harness.runner.secrecy import Secrets

MOST_OUTPUT_BYTES = 4 * 1024**2
"""So much of each stream is kept; the rest is read, lest the worker block, searched, and forgotten."""
LONGEST_LINE_BYTES = 64 * 1024
LINE_COSTS_BYTES = 200
"""What an event weighs besides its text: a flood of empty lines is one, too."""
CHUNK_BYTES = 64 * 1024
CUT = "[the harness: what was written after this is not kept]"


def _chunks(stream: IO[bytes]) -> Callable[[], bytes]:
    # A read takes what there is: the pipe is emptied to its end.
    return lambda: os.read(stream.fileno(), CHUNK_BYTES)


class _Rest:
    """Searches what is not kept."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._tail = secrets, b""
        self.names: set[str] = set()

    def pass_over(self, text: bytes) -> None:
        """Remember the end of what is kept: a secret may begin there."""
        self._tail = (self._tail + text)[-LONGEST_FORM_BYTES:]

    def search(self, text: bytes) -> list[str]:
        """Return a line for each secret that was not found before."""
        found = self._secrets.found_in((self._tail + text).decode("latin-1"))
        self.pass_over(text)
        fresh = [name for name in found if name not in self.names]
        self.names.update(fresh)
        return [f"[the harness: <secret:{name}> stood in what is not kept]" for name in fresh]


class Text:
    """The text of a stream, as far as it was read."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._rest = secrets, _Rest(secrets)
        self._kept, self._said = bytearray(), [CUT]

    def read(self, stream: IO[bytes]) -> None:
        """Read a stream to its end."""
        for chunk in iter(_chunks(stream), b""):
            if len(self._kept) < MOST_OUTPUT_BYTES:
                self._kept += chunk
                self._rest.pass_over(chunk)
            else:
                self._said += self._rest.search(chunk)

    def __str__(self) -> str:
        """Return it without secrets."""
        text = self._secrets.scrub(bytes(self._kept).decode(errors="replace"))
        whole = len(self._kept) < MOST_OUTPUT_BYTES
        return text if whole else "\n".join([text[:-LONGEST_FORM_BYTES], *self._said])


class _Lines:
    """Tells of lines until there were too many."""

    def __init__(self, secrets: Secrets, tell: Callable[[str], object]) -> None:
        self._secrets, self._tell = secrets, tell
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = _Rest(secrets)
        self._left, self._pending = MOST_OUTPUT_BYTES, ""

    def take(self, chunk: bytes) -> None:
        """Take what was read."""
        if self._left <= 0:
            self._search(chunk)
            return
        self._rest.pass_over(chunk)
        *lines, self._pending = (self._pending + self._decoder.decode(chunk)).split("\n")
        if len(self._pending) > LONGEST_LINE_BYTES:
            clean = self._secrets.scrub(self._pending)
            lines.append(clean[:-LONGEST_FORM_BYTES])
            self._pending = clean[-LONGEST_FORM_BYTES:]
        for place, line in enumerate(lines, start=1):
            self._tell(self._secrets.scrub(line))
            self._left -= len(line) + LINE_COSTS_BYTES
            if self._left <= 0:
                self._tell(CUT)
                self._search("\n".join([*lines[place:], self._pending]).encode())
                return

    def end(self) -> None:
        """Tell of a last line that had no end."""
        if self._left > 0 and self._pending:
            self._tell(self._secrets.scrub(self._pending))

    def _search(self, text: bytes) -> None:
        for line in self._rest.search(text):
            self._tell(line)


def read_lines(stream: IO[bytes], secrets: Secrets, tell: Callable[[str], object]) -> None:
    """Read a stream to its end, telling of each line without its secrets."""
    lines = _Lines(secrets, tell)
    for chunk in iter(_chunks(stream), b""):
        lines.take(chunk)
    lines.end()
