"""The world of one scenario: a node, a store behind a recording proxy, a staging root, and a platform for services.

Every port, bucket, queue and folder belongs to one world, so that scenarios can run at the same time. (The package
`harness.world` is something else: the test chain.)
"""

from __future__ import annotations

import secrets
import shutil
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.runner import objects, staging
from harness.runner.bare_cryo import containerized_cryo
from harness.runner.container_pid import ContainerPid
from harness.runner.cryo_events import CryoEvents
from harness.runner.node import UNREACHABLE_URL, RunningNode, start_node
from harness.runner.platform import RunningPlatform
from harness.runner.processes import Watch, Worker
from harness.runner.store_events import StoreListener
from harness.runner.worker_environment import WorkerEnvironment
from harness.scenario import CONTAINER
from harness.stores.proxy import StoreProxy
from harness.targets import search_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.runner.recorder import Recorder
    from harness.scenario import Scenario, TaskLine
    from harness.stores.backends import Backends
    from harness.stores.bucket import Bucket
    from harness.targets import Target

EXTERNAL_STORE_KEYS = {"AWS_ACCESS_KEY_ID": "harness", "AWS_SECRET_ACCESS_KEY": "re-signed-by-the-proxy"}
"""A worker gets these instead of the keys of an external store, which only the harness knows."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of a world.

    `outside` is outside the staging root; symbolic links that the scenario creates in the staging root point to it.
    """

    root: Path
    staging: Path
    outside: Path
    store: Path

    @classmethod
    def below(cls, root: Path, target: Target) -> Folders:
        """Return the folders below `root`; a target can specify another staging root."""
        return cls(root, target.staging_root or root / "staging", root / "outside", root / "out")


@dataclass(slots=True)
class World:
    """A running world, created by `open_world`.

    `canary` is a random secret that must not appear in any output. `ports` maps each port of the store's proxy to the
    number of the worker that uses it.
    """

    scenario: Scenario
    target: Target
    recorder: Recorder
    folders: Folders
    bucket: Bucket | None
    node: RunningNode
    cryo: str
    proxy: StoreProxy
    watch: Watch
    platform: RunningPlatform | None
    canary: str
    preloaded: dict[str, str]
    preloaded_states: staging.PathStates
    ports: dict[int, int]
    external_store: bool
    workers: list[Worker] = field(default_factory=list)

    @property
    def process_markers(self) -> tuple[str, ...]:
        """Texts by which processes of this world are found: no other process has them in its environment."""
        return (str(self.folders.root), *(f"http://127.0.0.1:{port}\0" for port in self.ports))

    @property
    def required_platform(self) -> RunningPlatform:
        """The platform of a scenario that runs a service.

        Raises:
            RuntimeError: the scenario runs single tasks.
        """
        if self.platform is None:
            raise RuntimeError(f"scenario {self.scenario.name} has no dispatcher")
        return self.platform

    def task_id(self, index: int) -> str:
        """Return the id of a task: the same in every run of the scenario."""
        return _task_id(self.scenario, index)

    def environment(self, line: TaskLine, store_url: str) -> dict[str, str]:
        """Return the whole environment of a worker whose requests to the store go to `store_url`."""
        scenario, bucket = self.scenario, self.bucket
        if bucket is not None:
            bucket = replace(bucket, endpoint=replace(bucket.endpoint, url=store_url))
        parts = WorkerEnvironment(
            mode=scenario.mode,
            node_url=self.node.url if scenario.pool_url else None,
            cryo=self.cryo,
            coverage=scenario.level,
            bucket=bucket,
            queue=self.platform.worker_queue if self.platform else None,
            dispatcher=self.platform.server if self.platform else None,
            staging=self.folders.staging,
        )
        found = {"PATH": search_path(), "TRACE_LOG_FORMAT": "json", **parts.environment()}
        if bucket is not None and self.external_store:
            found |= EXTERNAL_STORE_KEYS
        found |= dict(self.target.environment)
        placeholders = self._placeholders()
        for name, value in (scenario.environment | line.environment).items():
            for placeholder, replacement in placeholders.items():
                value = value.replace(placeholder, replacement)  # noqa: PLW2901 - one value, several placeholders
            found[name] = value
        return self.target.named({name: value for name, value in found.items() if value != "(unset)"})

    def _placeholders(self) -> dict[str, str]:
        """Return the values of the placeholders in a scenario's environment (harness.scenario.model.Scenario)."""
        found = {
            "{pool_url}": self.node.url,
            "{pool_address}": self.node.url.partition("//")[2],
            "{dead_url}": UNREACHABLE_URL,
            "{other_chain_url}": self.node.other_chain_url,
            "{second_url}": self.node.second_url,
            "{staging}": str(self.folders.staging),
            "{canary}": self.canary,
        }
        if any("_bytes}" in value for value in self.scenario.environment.values()):
            sizes = objects.sizes(self.scenario)
            found |= {"{largest_bytes}": str(max(sizes)), "{total_bytes}": str(sum(sizes))}
            found |= {"{under_largest_bytes}": str(max(sizes) - 1), "{under_total_bytes}": str(sum(sizes) - 1)}
        return found

    def start(self, task: int | None) -> Worker:
        """Start a worker for the task with this index; None starts it as a service."""
        number, folder = len(self.workers), self.folders.root
        line = self.scenario.tasks[task or 0]
        url = self.proxy.open_port()
        self.ports[int(url.rpartition(":")[2])] = number
        environment, substitutions, payload = self.environment(line, url), None, None
        if task is not None:
            payload = line.text().encode()
            file = folder / f"payload-{number}.json"
            file.write_bytes(payload)
            store = f"s3://{self.bucket.name}" if self.bucket else f"file://{self.folders.store}"
            substitutions = {
                "store": store,
                "task_id": self.task_id(task),
                "attempt": str(line.attempt),
                "payload": str(file),
            }
        id_file = folder / f"container-{number}.id"
        command = self.target.command_line(folder, environment, substitutions, id_file)
        inner = ContainerPid(id_file).find if self.target.in_container else None
        worker = Worker(number, self.recorder, command, environment, task, payload, inner)
        self.watch.follow(worker)
        self.workers.append(worker)
        return worker


@contextmanager
def open_world(
    scenario: Scenario, target: Target, backends: Backends, recorder: Recorder, folder: Path
) -> Iterator[World]:
    """Create a scenario's world in `folder`; when the block ends, stop everything, the workers first."""
    folders = Folders.below(folder, target)
    with ExitStack() as stack:
        bucket = _make_bucket(scenario, backends, stack)
        if target.staging_root is not None:
            stack.callback(shutil.rmtree, folders.staging, ignore_errors=True)
        key, canary = secrets.token_hex(16), f"canary{secrets.token_hex(12)}"
        recorder.secrets.add({"rpc-key": key, "canary": canary})
        first_task = _task_id(scenario, 0)
        preloaded = objects.prepare(scenario, bucket, folders.store)
        staging.create_preloaded_files(scenario, folders.staging, folders.outside, first_task)
        preloaded_states = staging.path_states(scenario, folders.staging, folders.outside, first_task)
        cryo = str(containerized_cryo(stack, folder)) if scenario.cryo == CONTAINER else scenario.cryo
        node = start_node(scenario, stack, key=key, cryo=cryo, folder=folder)
        ports: dict[int, int] = {}
        name = bucket.name if bucket else ""
        proxy = stack.enter_context(_store_proxy(scenario, backends, StoreListener(recorder, name, ports)))
        watch = stack.enter_context(Watch(recorder))
        events = CryoEvents(recorder, watch, folders.staging, node.urls)
        if node.pool is not None:
            node.pool.on_call(events.called)
        if not (scenario.mode == "real" and scenario.cryo == "fake-cryo" and scenario.pool_url):
            # Only fake Cryo with a fake node reports its start itself; otherwise its process is searched for.
            watch.on_cryo(events.process_found)
        platform = None
        if scenario.delivery == "worker":
            platform = RunningPlatform(scenario, recorder, stack, queues=backends.queues, bucket=name or None)
        world = World(
            scenario, target, recorder, folders, bucket, node, cryo, proxy, watch, platform, canary, preloaded,
            preloaded_states, ports, backends.external,
        )  # fmt: skip
        stack.callback(_close_workers, world.workers)
        yield world


def _task_id(scenario: Scenario, index: int) -> str:
    if scenario.tasks[index].same_task and index:
        return _task_id(scenario, index - 1)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scenario.name}/{index}"))


def _make_bucket(scenario: Scenario, backends: Backends, stack: ExitStack) -> Bucket | None:
    if scenario.store != "s3":
        return None
    bucket = backends.store.make_bucket()
    if backends.external:
        stack.callback(bucket.remove)
    return bucket


def _store_proxy(scenario: Scenario, backends: Backends, listener: StoreListener) -> StoreProxy:
    store = backends.store
    signing_keys = store if backends.external else None
    return StoreProxy(store.url, scenario.store_faults, listener=listener, sign_as=signing_keys, keys=store)


def _close_workers(workers: list[Worker]) -> None:
    for worker in workers:
        worker.close()
