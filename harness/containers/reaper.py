"""Removes containers whose owner is gone: a test run that was killed can't clean up, so the next one does.

Each container bears its owner as a label: process id, start time, and the namespace in which that id means something.
One that was made elsewhere (another host or container on the same engine) is nobody's business here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

OWNER_LABEL = "cryo-harness.owner"
STARTED_FIELD = 19
"""The place of a process's start time in /proc/<pid>/stat, counted from behind the command's closing parenthesis."""


def owner_label() -> dict[str, str]:
    """Return the label that says that this process owns a container."""
    return {OWNER_LABEL: f"{_namespace()}/{os.getpid()}:{_started(os.getpid())}"}


def reap(client: Any) -> list[str]:
    """Remove every container of a dead owner and return their names; those of live ones are left alone."""
    removed = []
    for container in client.containers.list(all=True, filters={"label": OWNER_LABEL}):
        if is_orphan(container.labels[OWNER_LABEL]):
            container.remove(force=True, v=True)
            removed.append(container.name)
    return removed


def is_orphan(owner: str) -> bool:
    """Tell whether an owner's label names a process of this namespace that is no more."""
    namespace, _, process = owner.rpartition("/")
    pid, _, started = process.partition(":")
    if namespace != _namespace() or not pid.isdigit():
        return False
    return str(_started(int(pid))) != started


def _namespace() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"


def _started(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(text.rpartition(")")[2].split()[STARTED_FIELD])
