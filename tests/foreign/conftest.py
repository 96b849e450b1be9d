"""What tests of the Go worker ask for: Go with its modules, the binary, and the worker as a service."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from foreign.build import binary, go
from support.service import Platform
from support.worker import BIN

from harness.containers.engine import EngineError

Start = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture(scope="session")
def compiler() -> str:
    """The path of Go; without it, or without its modules, tests are skipped with the reason, and fail under CI."""
    try:
        return go()
    except EngineError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


@pytest.fixture(scope="session")
def foreign_worker(compiler: str) -> Path:
    """The worker's binary: built once, by whichever test process comes first."""
    assert compiler
    return binary()


@pytest.fixture
def start(foreign_worker: Path) -> Start:
    """A way to start the worker on a platform; its log goes to the file `log` of the platform's folder."""
    search_path = os.pathsep.join([str(BIN), os.environ["PATH"]])  # fake mode takes fake-cryo from it

    @contextmanager
    def running(world: Platform, **environment: str) -> Iterator[subprocess.Popen[str]]:
        environment = world.environment(PATH=search_path, **environment)
        with (
            (world.folder / "log").open("w") as log,
            subprocess.Popen([foreign_worker, "worker"], env=environment, stderr=log, text=True) as process,
        ):
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    return running
