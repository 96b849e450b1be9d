"""What the processes of one pytest session share: a folder, and containers with their owner."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from harness.containers.reaper import OWNER_LABEL, owner_label
from harness.containers.session import Session
from harness.stores.backends import Backends, backends, limitations_of
from harness.stores.moto import moto_server

OWNER = "cryo_owner"
STARTED = "cryo_containers"
BACKENDS: pytest.StashKey[Backends] = pytest.StashKey()


def owner_of(config: pytest.Config) -> str:
    """Return the owner of this session's containers, which is the controller process."""
    worker_input: dict[str, str] = getattr(config, "workerinput", {})
    return worker_input.get(OWNER) or f"{owner_label()[OWNER_LABEL]}:pytest"


def folder_of(config: pytest.Config) -> Path:
    """Return a folder that all processes of a session share."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001 - no other way
    base = factory.getbasetemp()
    return base.parent if hasattr(config, "workerinput") else base


def containers_of(config: pytest.Config) -> Session:
    """Return the session's containers; the controller removes them at the end."""
    setattr(config, STARTED, True)
    with suppress(AttributeError):
        config.workeroutput[STARTED] = True  # type: ignore[attr-defined] # of xdist
    return Session(owner_of(config), folder_of(config))


def backends_of(config: pytest.Config) -> Backends:
    """Return the store of `--cryo-store`; the first test that needs it starts it or connects to it.

    Raises:
        BadStore: it can't be used.
    """
    if BACKENDS not in config.stash:
        stack = ExitStack()
        config.add_cleanup(stack.close)
        name: str = config.getoption("--cryo-store")
        if name == "minio":
            config.stash[BACKENDS] = _on_minio(containers_of(config), stack)
        else:
            config.stash[BACKENDS] = stack.enter_context(backends(name))
    return config.stash[BACKENDS]


def _on_minio(containers: Session, stack: ExitStack) -> Backends:
    from harness.containers.minio import shared_minio  # noqa: PLC0415 - slow to load
    from harness.stores.minio import endpoint_of  # noqa: PLC0415 - as above

    store = endpoint_of(shared_minio(containers))
    return Backends(store, stack.enter_context(moto_server()), "minio", limitations_of(store))
