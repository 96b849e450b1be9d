"""What is judged: a command that knows `run` and `worker` as architecture.md has them, in any language."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

DEFAULT = "cmd:cryo-ingest"
REFERENCE = "reference"


class BadTarget(ValueError):
    """A target that can't be started, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Target:
    """A command line that `run` or `worker` is put after; `environment` is added to the worker's."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


def search_path() -> str:
    """Return the PATH on which workers and their Cryo are found: this distribution's scripts come first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def find(text: str = DEFAULT, *, bug: str | None = None) -> Target:
    """Return a target by its name: `cmd:COMMAND LINE`, or `reference` for the harness's own worker.

    Raises:
        BadTarget: it is none of these, or there is no such command.
    """
    extra = (("HARNESS_REFERENCE_BUG", bug),) if bug else ()
    if text == REFERENCE:
        return Target(text, (sys.executable, "-m", "harness.reference"), extra)
    if not text.startswith("cmd:"):
        raise BadTarget(f"no target {text!r}: write cmd:COMMAND LINE, or reference")
    words = shlex.split(text.removeprefix("cmd:"))
    found = shutil.which(words[0], path=search_path()) if words else None
    if found is None:
        raise BadTarget(f"target {text!r}: there is no executable {words[0] if words else ''!r} on the PATH")
    return Target(text, (found, *words[1:]), extra)
