"""Prepares the standard streams at the start of the process.

The next file or socket that is opened gets a closed descriptor 0, 1 or 2, and would receive what is printed.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing import TextIO

STREAMS = ("stdin", "stdout", "stderr")


def use_utf8() -> None:
    """Write UTF-8 in any locale; lone surrogates are written as escapes.

    An encoding that can't represent a publication's text must not turn a success into a failure.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def reopen_closed_streams() -> frozenset[str]:
    """Open the null device on each closed standard descriptor, and return the names of those streams."""
    closed = set()
    for descriptor, name in enumerate(STREAMS):
        if cast("TextIO | None", getattr(sys, name)) is not None:
            continue
        closed.add(name)
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - Python's signature
        setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))
    return frozenset(closed)
