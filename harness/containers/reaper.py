"""Removes containers, networks and volumes of dead processes: a killed test run can't clean up, so the next one does.

A label names the owner: process id, start time, PID namespace, and the session if a process has several. Objects of
another namespace (another host or container that uses the same engine) are left alone.
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
"""The index of the start time in /proc/<pid>/stat, counted from after the closing parenthesis of the command."""


def owner_label() -> dict[str, str]:
    """Return the label of containers, networks and volumes that this process owns."""
    return {OWNER_LABEL: f"{_namespace()}/{os.getpid()}:{_started(os.getpid())}"}


def reap(engine: Any) -> list[str]:
    """Remove every container, network and volume of a dead owner and return their names."""
    return _remove(engine, is_orphan)


def remove_all_of(owner: str) -> list[str]:
    """Remove every container, network and volume of an owner and return their names."""
    engine = client()
    try:
        return _remove(engine, owner.__eq__)
    finally:
        engine.close()


def _remove(engine: Any, must_go: Callable[[str], bool]) -> list[str]:
    import docker  # noqa: PLC0415 - slow to load

    labelled = {"label": OWNER_LABEL}
    objects = [
        (container, {"force": True, "v": True}) for container in engine.containers.list(all=True, filters=labelled)
    ]
    objects += [(network, {}) for network in engine.networks.list(filters=labelled)]
    objects += [(volume, {}) for volume in engine.volumes.list(filters=labelled)]
    removed = []
    for item, options in objects:
        labels = item.attrs.get("Labels") or item.attrs.get("Config", {}).get("Labels") or {}
        if must_go(labels.get(OWNER_LABEL, "")):
            # Another run may remove the same object at the same time.
            with suppress(docker.errors.NotFound, docker.errors.APIError):
                item.remove(**options)
                removed.append(item.name)
    return removed


def is_orphan(owner: str) -> bool:
    """Return whether an owner is a process of this namespace that has ended."""
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
