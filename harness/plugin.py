"""The pytest plugin: parts of the harness as fixtures, and with `--cryo-target` the kit as tests, in any test suite.

Modules of the harness are imported only when they are used. With xdist the processes of a session share its containers
and the runs of scenarios; each test has its own buckets, queues and nodes.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from harness.containers.node import Anvil
    from harness.containers.session import Session
    from harness.fakes.dispatcher import DispatcherServer
    from harness.fakes.rpc import RpcPool
    from harness.kit.plugin_world import PluginWorld
    from harness.stores.bucket import Bucket, S3Endpoint
    from harness.stores.queue import Queue
    from harness.world.chain import Chain

CHAIN_ID, HEAD = 31337, 1_000_000
STARTED = "cryo_containers"
"""Set on the config of a process that may have started containers; equal to STARTED in harness/kit/shared.py."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the kit."""
    group = parser.getgroup("cryo", "the conformance kit of cryo_ingest")
    group.addoption("--cryo-target", metavar="TARGET", help="judge this worker: cmd:…, image:…, py:…, a TOML file")
    group.addoption("--cryo-profile", choices=["core", "hardened"], default="hardened", help="default: hardened")
    group.addoption("--cryo-store", default="moto", metavar="STORE", help="moto (default), minio, or a URL")


def pytest_configure(config: pytest.Config) -> None:
    """Register the kit's markers, and on the controller the plugin that removes containers at the end."""
    config.addinivalue_line("markers", "cryo: a test of the kit, for a clause in a scenario; `-k` accepts both names")
    config.addinivalue_line("markers", "cryo_core: a test of the kit for a clause of profile core")
    config.addinivalue_line("markers", "cryo_added: a test of the kit for a clause that only profile hardened has")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Ender(config), "cryo-ender")


class Ender:
    """Removes the session's containers when all of its processes have ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._started = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Pass the owner of the session's containers to an xdist process."""
        from harness.kit.shared import OWNER, owner_of  # noqa: PLC0415 - only with xdist

        node.workerinput[OWNER] = owner_of(self._config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Record whether a process started containers."""
        self._started |= bool(getattr(node, "workeroutput", {}).get(STARTED))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Remove the containers."""
        if self._started or getattr(self._config, STARTED, False):
            from harness.containers.reaper import remove_all_of  # noqa: PLC0415 - only with containers to remove
            from harness.kit.shared import owner_of  # noqa: PLC0415 - as above

            remove_all_of(owner_of(self._config))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the last log lines of the session's containers to the report of a failed test that uses them."""
    report = yield
    uses_containers = "cryo_containers" in getattr(item, "fixturenames", ()) or item.get_closest_marker("docker")
    if report.failed and uses_containers and getattr(item.config, STARTED, False):
        from harness.containers.session import last_log_lines  # noqa: PLC0415 - only after a failure
        from harness.kit.shared import owner_of  # noqa: PLC0415 - as above

        report.sections += last_log_lines(owner_of(item.config))
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the kit's tests if a target is given."""
    name = config.getoption("--cryo-target")
    if name:
        from harness.kit.suite import tests_of  # noqa: PLC0415 - only when it is used

        items += tests_of(session, name, config.getoption("--cryo-profile"))


@pytest.fixture(scope="session")
def cryo_containers(request: pytest.FixtureRequest) -> Session:
    """The containers of this session, shared by all of its processes; skips the test without a Docker engine."""
    from harness.containers.engine import engine_problem  # noqa: PLC0415 - only when it is used
    from harness.kit.shared import containers_of  # noqa: PLC0415 - as above

    problem = engine_problem()
    if problem is not None:
        pytest.skip(problem)
    return containers_of(request.config)


@pytest.fixture(scope="session")
def cryo_moto() -> Iterator[S3Endpoint]:
    """A moto server for S3 and SQS, one per process."""
    from harness.stores.moto import moto_server  # noqa: PLC0415 - only when it is used

    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def minio(cryo_containers: Session) -> S3Endpoint:
    """The MinIO of the session, in a container; `make_bucket()` creates a new bucket."""
    from harness.containers.minio import shared_minio  # noqa: PLC0415 - only when it is used
    from harness.stores.minio import endpoint_of  # noqa: PLC0415 - as above

    return endpoint_of(shared_minio(cryo_containers))


@pytest.fixture(scope="session")
def anvil(cryo_containers: Session) -> Anvil:
    """The anvil of the session, in a container, with a few hundred blocks; don't mine on it."""
    from harness.containers.anvil import shared_anvil  # noqa: PLC0415 - only when it is used
    from harness.containers.node import Anvil  # noqa: PLC0415 - as above

    server = shared_anvil(cryo_containers)
    return Anvil(server.url, server.mined)


@pytest.fixture(scope="session")
def chain() -> Chain:
    """The deterministic chain that `fake_rpc` serves: the oracle for the rows that a worker extracts."""
    from harness.world.chain import Chain  # noqa: PLC0415 - only when it is used

    return Chain(CHAIN_ID)


@pytest.fixture
def fake_rpc(chain: Chain) -> Iterator[RpcPool]:
    """A pool with one node on `chain`; `fake_rpc.add_faults(…)` adds faults, `fake_rpc.journal` has all calls."""
    from harness.fakes.rpc import Node, RpcPool  # noqa: PLC0415 - only when it is used

    with RpcPool(Node(chain, head=HEAD)) as pool:
        yield pool


@pytest.fixture
def object_store(cryo_moto: S3Endpoint) -> Bucket:
    """A new bucket on moto."""
    return cryo_moto.make_bucket()


@pytest.fixture
def cryo_queue(cryo_moto: S3Endpoint) -> Queue:
    """A new queue."""
    from harness.stores.queue import make_queue  # noqa: PLC0415 - only when it is used

    return make_queue(cryo_moto)


@pytest.fixture
def dispatcher(cryo_queue: Queue, object_store: Bucket) -> Iterator[DispatcherServer]:
    """A dispatcher on `cryo_queue`; `dispatcher.dispatcher.add_task(payload)` adds a task."""
    from harness.fakes.dispatcher import Dispatcher, DispatcherServer  # noqa: PLC0415 - only when it is used

    with DispatcherServer(Dispatcher(queue=cryo_queue, bucket=object_store.name)) as server:
        yield server


@pytest.fixture
def world(
    fake_rpc: RpcPool, object_store: Bucket, cryo_queue: Queue, dispatcher: DispatcherServer, tmp_path: Path
) -> Iterator[PluginWorld]:
    """All of them together; `environment()` is the environment of a worker that uses them, `start()` starts one."""
    from harness.kit.plugin_world import PluginWorld  # noqa: PLC0415 - only when it is used

    with ExitStack() as stack:
        yield PluginWorld(fake_rpc, object_store, cryo_queue, dispatcher, tmp_path / "staging", stack)
