"""One scenario's world: a node, a store behind the proxy, a queue and a dispatcher where a service is judged.

Every port, bucket, queue and folder is its own, so that scenarios run side by side.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from harness.containers.node import anvil_process
from harness.fakes.dispatcher import Dispatcher, DispatcherServer
from harness.fakes.rpc.journal import Call
from harness.fakes.rpc.node import Node
from harness.fakes.rpc.server import RpcPool
from harness.faults.rpc import HARNESS
from harness.history import CryoStarted, CryoWrote, DispatcherCall, FaultFired, RpcCall
from harness.runner import objects, staging
from harness.runner.bare_cryo import containerized_cryo, oracle_of
from harness.runner.container_pid import Inside
from harness.runner.processes import Watch, Worker, locked_below
from harness.runner.store_events import StoreListener
from harness.runner.wakeups import QueueListener
from harness.scenario import CONTAINER
from harness.stores.proxy import StoreProxy
from harness.stores.queue import make_queue
from harness.targets import search_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.fakes.dispatcher import Request
    from harness.fakes.dispatcher.dispatcher import Delivery
    from harness.runner.recorder import Recorder
    from harness.scenario import Scenario, TaskLine
    from harness.stores.backends import Backends
    from harness.targets import Target

OTHER_CHAIN_ID = 5
LOOPBACK_URL = "http://127.0.0.1"
DEAD_URL = f"{LOOPBACK_URL}:9"
STRANGER = {"AWS_ACCESS_KEY_ID": "harness", "AWS_SECRET_ACCESS_KEY": "signed-anew-by-the-proxy"}
"""What a worker gets instead of the keys to an external store, which are the harness's alone."""


class _Telling(Dispatcher):
    """A dispatcher that tells of each request once it has had its effect, before its answer is given."""

    def __init__(self, tell: Callable[[], None], **told: Any) -> None:
        super().__init__(**told)
        self._tell = tell

    def handle(self, request: Request) -> Delivery:
        """Take one request."""
        delivery = super().handle(request)
        self._tell()
        return delivery


class World:
    """Exists while the `with` block lasts."""

    def __init__(self, scenario: Scenario, target: Target, around: Backends, recorder: Recorder, folder: Path) -> None:
        self.scenario, self.target, self.recorder = scenario, target, recorder
        self._around, self._folder = around, folder
        self.staging, self.outside, self.directory = folder / "staging", folder / "outside", folder / "out"
        if target.staging_root is not None:
            self.staging = target.staging_root
        self.workers: list[Worker] = []
        self.bucket = around.store.make_bucket() if scenario.store == "s3" else None
        self._key, self._canary = secrets.token_hex(16), f"canary{secrets.token_hex(12)}"
        self._stack = ExitStack()
        self.oracle: dict[str, dict[str, Any]] | None = None
        self._other_url = DEAD_URL
        self._ports: dict[int, int] = {}
        self.server: DispatcherServer | None = None
        self._told = 0
        self._telling = threading.RLock()

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self) -> None:
        scenario, recorder = self.scenario, self.recorder
        name = self.bucket.name if self.bucket else ""
        recorder.secrets.add({"rpc-key": self._key, "canary": self._canary})
        self.preloaded = objects.prepare(scenario, self.bucket, self.directory)
        staging.plant(scenario, self.staging, self.outside, self.task_id(0))
        self.file_states = staging.states(scenario, self.staging, self.outside, self.task_id(0))
        self.cryo = scenario.cryo
        if scenario.cryo == CONTAINER:
            self.cryo = str(containerized_cryo(self._stack, self._folder))
        self.pool: RpcPool | None = None
        if scenario.node.kind == "fake":
            self._node_url = self._fake_node()
        else:
            self._node_url = self._stack.enter_context(anvil_process()).url
            payload = scenario.tasks[0].payload()
            self.oracle = oracle_of(self.cryo, self._node_url, payload, self._folder / "bare")
        store, listener = self._around.store, StoreListener(recorder, name, self._ports)
        signs = store if self._around.external else None
        self.proxy = self._stack.enter_context(
            StoreProxy(store.url, scenario.store_faults, listener=listener, sign_as=signs, keys=store)
        )
        sees_start = scenario.mode == "real" and scenario.cryo == "fake-cryo" and scenario.pool_url
        self.watch = self._stack.enter_context(Watch(recorder, None if sees_start else self._cryo_seen))
        if scenario.delivery == "worker":
            self._make_platform(name)

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.close()
        self._stack.close()
        if self.target.staging_root is not None:
            shutil.rmtree(self.staging, ignore_errors=True)
        if self.bucket is not None and self._around.external:
            self.bucket.remove()

    def _fake_node(self) -> str:
        scenario = self.scenario
        node = Node(
            objects.chain_of(scenario), head=scenario.node.head, finalized=scenario.node.finalized,
            chain_id=scenario.node.claims_chain_id, key=self._key,
            script={"faults": list(scenario.cryo_faults), "quirks": scenario.node.quirks},
        )  # fmt: skip
        # Beside it a node of another chain, for pools of several.
        other = replace(node, name="other", chain_id=OTHER_CHAIN_ID)
        self.pool = self._stack.enter_context(RpcPool([node, other], scenario.rpc_faults))
        self.pool.on_call(self._called)
        self._other_url = f"{self.pool.urls[1]}/v3/{self._key}"
        return f"{self.pool.url}/v3/{self._key}"

    def _make_platform(self, bucket: str) -> None:
        told = self.scenario.platform
        self.queue_proxy = self._stack.enter_context(
            StoreProxy(self._around.queues.url, listener=QueueListener(self.recorder))
        )
        self.queue = make_queue(self._around.queues, visibility_seconds=3)
        self.machine = _Telling(
            self.write_exchanges,
            queue=self.queue, form=told.form, lease_seconds=told.lease_seconds, max_attempts=told.max_attempts,
            backoff_seconds=told.backoff_seconds, wakeups=told.wakeups, bucket=bucket or None,
        )  # fmt: skip
        self.recorder.secrets.add({"worker-token": self.machine.worker_token})
        self.server = self._stack.enter_context(DispatcherServer(self.machine, self.scenario.dispatcher_faults))
        self.server.on_request(self._asked)

    @property
    def marks(self) -> tuple[str, ...]:
        """What only the environment of a worker of this world, and of what it started, holds."""
        return (str(self._folder), *(f"{LOOPBACK_URL}:{port}\0" for port in self._ports))

    # What happens in it, written down.

    def _called(self, call: Call) -> None:
        if call.fault is not None:
            self.recorder.add(FaultFired, fault=f"rpc {call.method} #{call.number}")
        if call.method == "harness_started":
            told = call.params[0]
            self._cryo_started(told["pid"], told["arguments"], told["environment"])
        elif call.method == "harness_wrote":
            self.recorder.add(CryoWrote, name=call.params[0]["name"], digest=call.params[0]["sha256"])
        elif not call.method.startswith(HARNESS):
            self.recorder.add(
                RpcCall, node=call.node, method=call.method, blocks=call.blocks, fault=call.fault is not None
            )

    def _cryo_seen(self, pid: int, words: list[str]) -> None:
        first = next((at for at, word in enumerate(words) if "cryo" in Path(word).name), 0)
        try:
            names = [line.split(b"=")[0].decode() for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")]
        except OSError:
            names = []
        self._cryo_started(pid, words[first + 1 :], [name for name in names if name])

    def _cryo_started(self, pid: int, arguments: list[str], environment: list[str]) -> None:
        self.watch.note(pid)
        try:
            directory = str(Path(f"/proc/{pid}/cwd").resolve())
        except OSError:
            directory = ""
        event = self.recorder.add(
            CryoStarted,
            arguments=tuple(arguments),
            environment=tuple(environment),
            directory=directory,
            pid=pid,
            staged=staging.look(self.staging),
            locked=locked_below(pid, self.staging),
        )
        self.watch.cryo_began(pid, event.number)

    def _asked(self, _: Request) -> None:
        self.hide_tokens()

    def hide_tokens(self) -> None:
        """Learn the tokens that were given out."""
        self.recorder.secrets.add({label.replace(" ", "-"): token for label, token in self.machine.secrets.items()})

    def write_exchanges(self) -> None:
        """Write down what the dispatcher was asked and has answered since the last time."""
        with self._telling:
            self._write_exchanges()

    def _write_exchanges(self) -> None:
        journal = self.machine.journal
        while self._told < len(journal):
            exchange = journal[self._told]
            self._told += 1
            self.recorder.add(
                DispatcherCall,
                kind=exchange.kind or "unknown_request",
                task_id=exchange.task_id,
                attempt=exchange.attempt,
                request=dict(exchange.request),
                status=exchange.status,
                response=dict(exchange.answer),
                fault=exchange.fault,
            )
            if exchange.fault:
                self.recorder.add(FaultFired, fault=f"dispatcher {exchange.kind} {exchange.fault}")

    # What is done in it.

    def task_id(self, place: int) -> str:
        """Return the id of a task: the same in every run of the scenario."""
        if self.scenario.tasks[place].same_task and place:
            return self.task_id(place - 1)
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.scenario.name}/{place}"))

    def environment(self, line: TaskLine, store_url: str) -> dict[str, str]:
        """Return the whole environment of a worker, which has an address of the store of its own."""
        scenario = self.scenario
        url = self._node_url
        found = {
            "PATH": search_path(),
            "TRACE_CRYO_STAGING_ROOT": str(self.staging),
            "TRACE_LOG_FORMAT": "json",
            "TRACE_CRYO_MODE": scenario.mode,
        }
        if scenario.mode == "real":
            found |= {"TRACE_CRYO_BIN": self.cryo, "TRACE_COVERAGE": scenario.level}
            found |= {"TRACE_RPC_POOL_LOCAL_URL": url} if scenario.pool_url else {}
        if self.server is not None:
            found |= self.server.environment() | self.queue.environment() | {"SQS_ENDPOINT": self.queue_proxy.url}
            # Older clients send their requests to the queue's own address.
            found["TASK_WAKEUP_QUEUE"] = self.queue_proxy.url + urlsplit(self.queue.url).path
        # The store's keys last: moto's queues take any.
        if self.bucket is not None:
            found |= self.bucket.environment() | {"S3_ENDPOINT": store_url}
            found |= STRANGER if self._around.external else {}
        found |= dict(self.target.environment)
        places = {"{pool_url}": url, "{dead_url}": DEAD_URL, "{staging}": str(self.staging), "{canary}": self._canary}
        places["{other_chain_url}"] = self._other_url
        places["{pool_address}"] = url.partition("//")[2]
        if any("_bytes}" in value for value in scenario.environment.values()):
            sizes = objects.sizes(scenario)
            places |= {"{largest_bytes}": str(max(sizes)), "{total_bytes}": str(sum(sizes))}
            places |= {"{under_largest_bytes}": str(max(sizes) - 1), "{under_total_bytes}": str(sum(sizes) - 1)}
        for name, value in (scenario.environment | line.environment).items():
            for place, meant in places.items():
                value = value.replace(place, meant)  # noqa: PLW2901 - one value, several places
            found[name] = value
        return self.target.named({name: value for name, value in found.items() if value != "(unset)"})

    def start(self, place: int | None) -> Worker:
        """Start a worker: for one task, or as a service."""
        line = self.scenario.tasks[place or 0]
        url = self.proxy.open_port()
        self._ports[int(url.rpartition(":")[2])] = len(self.workers)
        environment, places, payload = self.environment(line, url), None, None
        if place is not None:
            payload = line.text().encode()
            file = self._folder / f"payload-{len(self.workers)}.json"
            file.write_bytes(payload)
            store = f"s3://{self.bucket.name}" if self.bucket else f"file://{self.directory}"
            places = {"store": store, "task_id": self.task_id(place), "attempt": str(line.attempt)}
            places["payload"] = str(file)
        id_file = self._folder / f"container-{len(self.workers)}.id"
        command = self.target.words(self._folder, environment, places, id_file)
        inner = Inside(id_file).pid if self.target.in_container else None
        worker = Worker(len(self.workers), self.recorder, command, environment, place, payload, inner)
        self.watch.follow(worker)
        self.workers.append(worker)
        return worker
