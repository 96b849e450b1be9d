"""SIGTERM, SIGKILL and SIGSTOP past the lease, in each phase of an attempt: report, staging, store and exit code."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.processes import running
from support.service import Platform, Service, platform, small, until
from support.worker import BIN, CHAIN_ID, bare_cryo, expected_contents

from harness.fakes.dispatcher import TaskStatus
from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import RpcPool
from harness.faults import DispatcherFault, RpcFault, StoreFault
from harness.faults.rpc import Hang
from harness.stores.bucket import S3Endpoint
from harness.stores.proxy import StoreProxy
from harness.world.chain import Chain

LEASE_SECONDS = 2.5
"""Lost by the worker's clock 1.5 s after its last renewal at the earliest, by the dispatcher's 2.5 s after it."""

PHASES: dict[str, RpcFault | StoreFault | DispatcherFault] = {
    "Cryo runs": Hang(method="harness_script", times=2),  # the gateway asks once more for what is slow
    "a file is being stored": StoreFault(operation="put", key=r"\.parquet$", do="hang", times=1),
    "a file is stored": StoreFault(operation="put", key=r"\.parquet$", when="after", do="hang", times=1),
    "the manifest is being stored": StoreFault(operation="put", key=r"_manifest\.json$", do="hang", times=1),
    "the manifest is stored": StoreFault(operation="put", key=r"_manifest\.json$", when="after", do="hang", times=1),
    "the report is on its way": DispatcherFault("complete", "hang", times=1),
}
REPORTING = "the report is on its way"
EXTRACTING = "Cryo runs"


@dataclass
class Caught:
    """A worker caught in a phase of its attempt, and all that it works for."""

    world: Platform
    proxy: StoreProxy
    service: Service
    task: str
    cryo: Path
    pool: RpcPool

    def is_exact(self) -> bool:
        """Tell whether the bucket holds the version's files and its manifest, whole, and nothing else."""
        variables = {"ETH_RPC_URL": self.pool.url}
        files = bare_cryo("fake-cryo", self.world.folder / "bare", small(), variables)
        return self.world.bucket.contents() == expected_contents(small(), files)

    def no_cryo_is_alive(self) -> bool:
        """Tell whether no process of this test's own Cryo is left."""
        return running(str(self.cryo)) == []


@contextmanager
def caught(
    phase: str,
    tmp_path: Path,
    cryo_moto: S3Endpoint,
    *,
    lease_seconds: float = LEASE_SECONDS,
    grace_seconds: float = 1.5,
) -> Iterator[Caught]:
    """Start a worker on one task and return when it is in that phase, where something hangs, once."""
    trouble = PHASES[phase]
    reached = threading.Event()
    # A name of its own for Cryo, so that it can be told from other tests' when looking for survivors.
    cryo = tmp_path / "the-cryo-of-this-test"
    cryo.symlink_to(BIN / "fake-cryo")
    with ExitStack() as stack:
        faults = [trouble] if isinstance(trouble, RpcFault) else []
        pool = stack.enter_context(RpcPool(Node(Chain(CHAIN_ID), head=1_000_000), faults))
        fault = trouble if isinstance(trouble, StoreFault) else None
        proxy = stack.enter_context(StoreProxy(cryo_moto.url, fault, reached.set))
        made = platform(tmp_path, cryo_moto, lease_seconds=lease_seconds, backoff_seconds=0.1)
        world = stack.enter_context(made)
        world.extra = {
            "S3_ENDPOINT": proxy.url,
            "TRACE_CRYO_MODE": "real",
            "TRACE_CRYO_BIN": str(cryo),
            "TRACE_RPC_POOL_LOCAL_URL": pool.url,
            "TRACE_SHUTDOWN_GRACE_SECONDS": str(grace_seconds),
        }
        pool.on_fault(reached.set)
        if isinstance(trouble, DispatcherFault):
            world.machine.add_faults(trouble)
            world.server.on_request(lambda request: reached.set() if request.kind == "complete" else None)
        service = stack.enter_context(world.service())
        task = world.machine.add_task(small())
        assert reached.wait(30), f"the phase was never reached: {service.lines}"
        yield Caught(world, proxy, service, task, cryo, pool)


def manifests(world: Platform) -> int:
    return sum(key.endswith("_manifest.json") for key in world.bucket.contents())


@pytest.mark.parametrize("phase", ["Cryo runs", "a file is stored", "the manifest is being stored"])
def test_lse_4_sigterm_hands_the_attempt_back_and_leaves_no_staging(phase: str, tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-4: exit 0, one report as retryable, staging deleted, no Cryo alive; the manifest only where it was stored."""
    with caught(phase, tmp_path, cryo_moto, lease_seconds=60) as at:
        assert at.service.stop() == 0
        assert [report.outcome for report in at.world.machine.task(at.task).reports] == ["retryable_error"]
        assert at.world.machine.registered == {}
        assert at.world.staged() == []
        assert manifests(at.world) == (phase == "the manifest is stored")
        assert at.world.machine.violations == []
        until(at.no_cryo_is_alive)


def test_lse_4_sigterm_lets_a_report_on_its_way_arrive(tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-4: the answer is lost, the report asked again within the grace, the version registered once; exit 0."""
    # A third of what is left of the lease is waited for the answer: there is time to ask again on a busy machine too.
    with caught(REPORTING, tmp_path, cryo_moto, lease_seconds=12, grace_seconds=20) as at:
        assert at.service.stop() == 0
        assert [len(times) for times in at.world.machine.registered.values()] == [1]
        assert at.world.staged() == []
        assert at.world.machine.violations == []


def test_lse_4_a_second_signal_ends_the_process_at_once(tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-4: by the signal itself; Cryo dies with its worker, and what is left is as after a kill."""
    with caught(EXTRACTING, tmp_path, cryo_moto, lease_seconds=60) as at:
        at.service.process.send_signal(signal.SIGINT)
        until(lambda: "SigCgt" in status_of(at.service.process.pid) and not catches(at.service.process.pid))
        at.service.process.send_signal(signal.SIGTERM)
        assert at.service.process.wait(10) == -signal.SIGTERM
        until(at.no_cryo_is_alive)
        assert at.world.machine.task(at.task).reports == []
        assert at.world.staged() == [f"{at.task}/1"]


def status_of(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def catches(pid: int) -> bool:
    """Tell whether a process has a handler for SIGTERM of its own."""
    (line,) = (line for line in status_of(pid).splitlines() if line.startswith("SigCgt"))
    return bool(int(line.split()[1], 16) & 1 << (signal.SIGTERM - 1))


@pytest.mark.parametrize("phase", ["a file is being stored", "the manifest is stored", REPORTING])
def test_pub_6_what_a_killed_worker_had_begun_another_one_publishes_once(
    phase: str, tmp_path: Path, cryo_moto: S3Endpoint
):
    """PUB-6, STG-5, LAY-6: the lease ends, the next worker's attempt ends with the exact prefix; Cryo has died."""
    with caught(phase, tmp_path, cryo_moto, lease_seconds=60) as at:
        at.service.process.kill()
        at.service.process.wait()
        at.world.machine.take_lease(at.task)
        until(at.no_cryo_is_alive)
        assert at.world.staged() == [f"{at.task}/1"], "a killed attempt's staging stays for its TTL"
        with at.world.service() as other:
            other.wait_for("attempt.reported")
            assert other.stop() == 0
        task = at.world.machine.task(at.task)
        assert (task.status, task.attempt) == (TaskStatus.COMPLETED, 2)
        assert [len(times) for times in at.world.machine.registered.values()] == [1]
        assert at.world.machine.violations == []
        assert at.is_exact()


@pytest.mark.parametrize("phase", ["Cryo runs", "a file is stored", "the manifest is being stored"])
def test_lse_3_a_paused_worker_that_wakes_past_its_lease_publishes_nothing(
    phase: str, tmp_path: Path, cryo_moto: S3Endpoint
):
    """LSE-3, PUB-3, PUB-5: no store or completion request starts after it wakes; its staging goes; it lives on."""
    with caught(phase, tmp_path, cryo_moto) as at:
        at.service.process.send_signal(signal.SIGSTOP)
        until(lambda: at.world.machine.task(at.task).expired_leases == 1)
        # So that whatever is asked from now on is the zombie's own doing, and no second attempt's.
        at.world.machine.cancel(at.task)
        asked = len(at.proxy.requests)
        at.service.process.send_signal(signal.SIGCONT)
        at.service.wait_for("attempt.lease_lost")
        until(lambda: at.world.staged() == [])
        assert len(at.proxy.requests) == asked
        assert at.world.machine.registered == {}
        assert at.world.machine.task(at.task).reports == []
        completions = [exchange for exchange in at.world.server.journal if exchange.kind == "complete"]
        assert len(completions) == (phase == REPORTING), "only the one that was on its way already"
        assert at.world.machine.violations == []
        until(at.no_cryo_is_alive)
        again = at.world.machine.add_task(small())
        until(lambda: at.world.machine.task(again).outcome == "success")
        assert at.service.stop() == 0
        assert at.is_exact()


def test_pub_6_a_zombie_that_wakes_after_another_has_published_changes_nothing(tmp_path: Path, cryo_moto: S3Endpoint):
    """PUB-6, LAY-10: paused with a PUT on its way, overtaken by another worker, woken: one registration, same bytes."""
    with caught("a file is being stored", tmp_path, cryo_moto) as at:
        at.service.process.send_signal(signal.SIGSTOP)
        with at.world.service() as other:
            other.wait_for("attempt.reported")
            before = at.world.bucket.contents()
            at.service.process.send_signal(signal.SIGCONT)
            at.service.wait_for("attempt.lease_lost")
            assert (at.service.stop(), other.stop()) == (0, 0)
        assert at.world.bucket.contents() == before
        assert at.is_exact()
        assert [len(times) for times in at.world.machine.registered.values()] == [1]
        assert at.world.machine.violations == []
        assert at.world.staged() == []


def test_lse_4_an_idle_worker_that_is_stopped_hides_no_wake_up(tmp_path: Path, cryo_moto: S3Endpoint):
    """LSE-4: a message that the last poll brings is handed back at once: the next worker need not wait for it."""
    with platform(tmp_path, cryo_moto) as world, StoreProxy(cryo_moto.url) as proxy:
        with world.service(SQS_ENDPOINT=proxy.url, TRACE_SHUTDOWN_GRACE_SECONDS="12") as service:
            until(lambda: sum("ReceiveMessage" in str(seen.headers) for seen in proxy.requests) > 1)
            service.process.send_signal(signal.SIGTERM)
            service.wait_for("service.draining")
            world.queue.send_text('{"task_id": "0b6c3a52-3f0c-4a52-9b5c-0f0d2f3f8a11"}')
            assert service.process.wait() == 0
        answer = world.queue.client.receive_message(QueueUrl=world.queue.url, WaitTimeSeconds=1)
        assert len(answer.get("Messages", [])) == 1
        assert service.named("attempt.claimed") == []
