"""Removes containers, networks and volumes whose owner is gone: a killed test run can't clean up, so the next one does.

Each bears its owner as a label: process id, start time, the namespace in which that id means something, and, where a
process has several sessions, which of them.
One that was made elsewhere (another host or container on the same engine) is nobody's business here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.containers.engine import client

if TYPE_CHECKING:
    from collections.abc import Callable

OWNER_LABEL = "cryo-harness.owner"
STARTED_FIELD = 19
"""The place of a process's start time in /proc/<pid>/stat, counted from behind the command's closing parenthesis."""


def owner_label() -> dict[str, str]:
    """Return the label that says that this process owns a container or a network."""
    return {OWNER_LABEL: f"{_namespace()}/{os.getpid()}:{_started(os.getpid())}"}


def reap(engine: Any) -> list[str]:
    """Remove every container, network and volume of a dead owner and return their names; live ones keep theirs."""
    return _remove(engine, is_orphan)


def remove_all_of(owner: str) -> list[str]:
    """Remove what bears this owner's label and return the names."""
    engine = client()
    try:
        return _remove(engine, owner.__eq__)
    finally:
        engine.close()


def _remove(engine: Any, is_to_go: Callable[[str], bool]) -> list[str]:
    import docker  # noqa: PLC0415 - slow to load

    labelled = {"label": OWNER_LABEL}
    found = [(one, {"force": True, "v": True}) for one in engine.containers.list(all=True, filters=labelled)]
    found += [(one, {}) for one in engine.networks.list(filters=labelled)]
    found += [(one, {}) for one in engine.volumes.list(filters=labelled)]
    removed = []
    for one, options in found:
        labels = one.attrs.get("Labels") or one.attrs.get("Config", {}).get("Labels") or {}
        if is_to_go(labels.get(OWNER_LABEL, "")):
            # Two runs may clear up the same leftovers at once.
            with suppress(docker.errors.NotFound, docker.errors.APIError):
                one.remove(**options)
                removed.append(one.name)
    return removed


def is_orphan(owner: str) -> bool:
    """Tell whether an owner's label names a process of this namespace that is no more."""
    namespace, _, process = owner.rpartition("/")
    pid, _, rest = process.partition(":")
    started = rest.partition(":")[0]
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
