"""What our own tests add to the plugin (`harness/plugin.py`), which provides stores, containers, nodes and dispatchers.

Tests that are marked `docker` or `real_cryo` need a Docker engine or the wheel of Cryo. Without it they are skipped,
with the reason, or fail if CI=true. Which Cryo they ran, and how many passed, is written to `$CRYO_TEST_EVIDENCE` for
`.ci/run`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections import Counter
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.containers.node import Anvil
    from harness.stores.bucket import Bucket, S3Endpoint

EVIDENCE_VARIABLE = "CRYO_TEST_EVIDENCE"
COUNTED = ("docker", "real_cryo")


def pytest_xdist_auto_num_workers() -> int:
    """Return one test process more than CPUs for `-n auto`: tests also wait, for a lease, a deadline or a process."""
    return 1 + (os.cpu_count() or 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test process one of the long tests to begin with, so that none is left for the end.

    `--dist worksteal` first divides the tests into equal parts in their order; every process orders them the same way.
    """
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("long")]
    starts = [0]
    for waiting in range(processes, 1, -1):
        starts.append(starts[-1] + (len(items) - starts[-1]) // waiting)
    others = iter([item for item in items if not item.get_closest_marker("long")])
    ordered: list[pytest.Item] = []
    for number, end in enumerate([*starts[1:], len(items)]):
        ordered += long[number::processes]
        ordered += islice(others, max(0, end - len(ordered)))
    items[:] = [*ordered, *others]


def cryo_binary() -> Path | None:
    """Return the genuine Cryo inside the wheel, or None where there is none for this interpreter."""
    if importlib.util.find_spec("cryo") is None:
        return None
    spec = importlib.util.find_spec("cryo._cryo_rust")
    return Path(spec.origin) if spec and spec.origin else None


def what_is_missing(item: pytest.Item) -> str | None:
    """Return what a test needs and this machine lacks, and how to get it; None if nothing is missing."""
    if item.get_closest_marker("real_cryo") and cryo_binary() is None:
        return "needs the real Cryo: PyPI has its wheel for CPython 3.11 (pip install 'cryo==0.3.2')"
    if item.get_closest_marker("docker"):
        from harness.containers.engine import engine_problem  # noqa: PLC0415 - asked only where a test needs it

        return engine_problem()
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or under CI fail, a test that this machine can't run; record the binary of one that runs the real Cryo."""
    missing = what_is_missing(item)
    if missing is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    binary = cryo_binary()
    if item.get_closest_marker("real_cryo") and binary is not None:
        item.user_properties.append(("cryo_sha256", hashlib.sha256(binary.read_bytes()).hexdigest()))


class Evidence:
    """Counts on the controller what passed with an engine and with the real Cryo, and by which binary."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed: Counter[str] = Counter()
        self._binaries: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test that has passed."""
        if report.when == "call" and report.passed:
            self._passed.update(marker for marker in COUNTED if marker in report.keywords)
            self._binaries.update(str(value) for name, value in report.user_properties if name == "cryo_sha256")

    def pytest_sessionfinish(self) -> None:
        """Write what was counted."""
        content = {"passed": dict(self._passed), "cryo_sha256": sorted(self._binaries)}
        self._path.write_text(json.dumps(content), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Count on the controller, where all reports arrive."""
    path = os.environ.get(EVIDENCE_VARIABLE)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Evidence(Path(path)), "evidence")


@pytest.fixture(scope="session")
def anvil_process() -> Iterator[Anvil]:
    """A real node, anvil as a process, with a few hundred blocks; without one the test skips, or fails under CI."""
    from harness.containers import node  # noqa: PLC0415 - only for tests that use it
    from harness.containers.engine import EngineError  # noqa: PLC0415 - as above

    with ExitStack() as stack:
        try:
            anvil = stack.enter_context(node.anvil_process())
        except EngineError as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
        yield anvil


@pytest.fixture
def moto_bucket(cryo_moto: S3Endpoint) -> Bucket:
    """A fresh bucket on moto."""
    return cryo_moto.make_bucket()


@pytest.fixture
def minio_bucket(minio: S3Endpoint) -> Bucket:
    """A fresh bucket on MinIO; a test that uses it is marked `docker`."""
    return minio.make_bucket()
