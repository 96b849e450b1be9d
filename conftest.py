"""What every test can ask for, and what a test that needs an engine or the real Cryo has to have.

Without a Docker engine (or the wheel of Cryo) a test that is marked for it is skipped with the reason; under CI=true it
fails instead. Which binaries such tests ran, and how many passed, is written to `$CRYO_TEST_EVIDENCE` for `.ci/run`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from harness.containers.node import Anvil
    from harness.containers.session import Session
    from harness.stores.bucket import Bucket, S3Endpoint

EVIDENCE_VARIABLE = "CRYO_TEST_EVIDENCE"
COUNTED = ("docker", "real_cryo")


def cryo_binary() -> Path | None:
    """Return the genuine Cryo inside the wheel, or None where there is none for this interpreter."""
    if importlib.util.find_spec("cryo") is None:
        return None
    spec = importlib.util.find_spec("cryo._cryo_rust")
    return Path(spec.origin) if spec and spec.origin else None


def what_is_missing(item: pytest.Item) -> str | None:
    """Return what a test needs and this machine has not, with what would help."""
    if item.get_closest_marker("real_cryo") and cryo_binary() is None:
        return "needs the real Cryo: PyPI has its wheel for CPython 3.11 (pip install 'cryo-ingest[cryo]')"
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
    """Count and clear up on the controller alone, where all reports arrive."""
    path = os.environ.get(EVIDENCE_VARIABLE)
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(Containers(owner_of(config)), "containers")
    if path:
        config.pluginmanager.register(Evidence(Path(path)), "evidence")


def owner_of(config: pytest.Config) -> str:
    """Return who owns this session's containers: the controller, which told its test processes."""
    from harness.containers.reaper import OWNER_LABEL, owner_label  # noqa: PLC0415 - asked only where it is needed

    told: dict[str, str] = getattr(config, "workerinput", {})
    return told.get("owner") or owner_label()[OWNER_LABEL]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a test process of xdist's who owns the session's containers."""
    node.workerinput["owner"] = owner_of(node.config)


class Containers:
    """Ends the session's containers on the controller, when all tests are over."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._asked_for = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notice that a test may have started some."""
        self._asked_for |= "docker" in report.keywords and not report.skipped

    def pytest_sessionfinish(self) -> None:
        """Remove what there is."""
        if self._asked_for:
            from harness.containers.engine import engine_problem  # noqa: PLC0415 - only with containers to remove
            from harness.containers.reaper import remove_all_of  # noqa: PLC0415 - as above

            if engine_problem() is None:
                remove_all_of(self._owner)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the last lines of the session's containers to the report of a failed test that is marked `docker`."""
    report = yield
    if report.failed and item.get_closest_marker("docker"):
        from harness.containers.session import last_words  # noqa: PLC0415 - only after a failure

        report.sections += last_words(owner_of(item.config))
    return report


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Endpoint]:
    """An S3 server of moto's."""
    from harness.stores.moto import moto_server  # noqa: PLC0415 - only for tests that use it

    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def containers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The containers of this test session, shared by all its processes; whoever uses them is marked `docker`."""
    from harness.containers.session import Session  # noqa: PLC0415 - only for tests that use it

    base = tmp_path_factory.getbasetemp()
    return Session(owner_of(request.config), base.parent if hasattr(request.config, "workerinput") else base)


@pytest.fixture(scope="session")
def minio(containers: Session) -> S3Endpoint:
    """The session's MinIO in a container; whoever uses it is marked `docker`."""
    from harness.containers.minio import shared_minio  # noqa: PLC0415 - only for tests that use it
    from harness.stores.minio import endpoint_of  # noqa: PLC0415 - as above

    return endpoint_of(shared_minio(containers))


@pytest.fixture(scope="session")
def anvil() -> Iterator[Anvil]:
    """A real node, anvil as a process, with a few hundred blocks mined; skipped where it can't be had, save in CI."""
    from harness.containers.engine import EngineError  # noqa: PLC0415 - only for tests that use it
    from harness.containers.node import anvil_process  # noqa: PLC0415 - as above

    with ExitStack() as stack:
        try:
            node = stack.enter_context(anvil_process())
        except EngineError as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
        yield node


@pytest.fixture
def moto_bucket(moto: S3Endpoint) -> Bucket:
    """A fresh bucket on moto."""
    return moto.make_bucket()


@pytest.fixture
def minio_bucket(minio: S3Endpoint) -> Bucket:
    """A fresh bucket on MinIO."""
    return minio.make_bucket()
