"""A sync runs until the store has everything; attempts at one provider share its limit; the state has a place."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import cast

import pytest
from support.jobs import make_stream
from support.virtual_time import VirtualClock

from cryo_ingest.meter import RpcMeter
from cryo_ingest.ports import Limiter, Node
from cryo_ingest.publish.stores import open_store
from cryo_ingest.redact import Redactor
from cryo_ingest.settings import RpcPools, S3Settings, Settings
from cryo_ingest.sync.engine import Result, SetAside
from cryo_ingest.sync.job import FixedTarget, Job
from cryo_ingest.sync.plan import StreamPlan, plan_stream
from cryo_ingest.sync.published import Published
from cryo_ingest.sync.shared_rate import SharedRates
from cryo_ingest.sync.sync_command import run_until_published, state_directory
from cryo_ingest.wiring import make_ports

Blocks = tuple[int, int]
STREAM = make_stream()
S3 = S3Settings()


class Engine:
    """Publishes all tasks but those in `bad`; the store loses what is in `lost`."""

    def __init__(self, *, bad: frozenset[Blocks] = frozenset(), lost: frozenset[Blocks] = frozenset()) -> None:
        self.bad, self.lost = bad, lost
        self.runs: list[tuple[Blocks, ...]] = []
        self.stored: set[Blocks] = set()

    async def plan(self) -> tuple[StreamPlan, ...]:
        """List the store."""
        return (plan_stream(STREAM, Published(tuple(sorted(self.stored))), target=(0, 4000)),)

    async def run(self, plans: Sequence[StreamPlan]) -> Result:
        """Run the tasks."""
        (plan,) = plans
        self.runs.append(plan.tasks)
        done = set(plan.tasks) - self.bad
        self.stored |= done - self.lost
        aside = tuple(SetAside("blocks", blocks, "E", "m") for blocks in plan.tasks if blocks in self.bad)
        return Result(frozenset(("blocks", blocks) for blocks in done), 0, aside, stopped=False)


def test_a_published_job_needs_no_run():
    """Only the store is listed."""
    engine = Engine()
    engine.stored = {(0, 4000)}
    plans, results = asyncio.run(run_until_published(engine.plan, engine))
    assert (plans[0].tasks, results, engine.runs) == ((), [], [])


def test_what_was_set_aside_is_not_run_again():
    """It stays missing in the last plan."""
    engine = Engine(bad=frozenset({(1000, 2000)}))
    plans, _ = asyncio.run(run_until_published(engine.plan, engine))
    assert plans[0].tasks == ((1000, 2000),)
    assert len(engine.runs) == 1


def test_a_range_that_the_store_loses_is_not_published_for_ever():
    """One more listing shows that it is missing; a second run of it would end in the same way."""
    engine = Engine(lost=frozenset({(2000, 3000)}))
    plans, _ = asyncio.run(run_until_published(engine.plan, engine))
    assert plans[0].tasks == ((2000, 3000),)
    assert len(engine.runs) == 1


def test_the_state_is_beside_a_directory_and_else_in_the_users_directory(tmp_path: Path):
    """Jobs, organizations and stores have different states; without a home there is no default."""
    job = Job("a job/../x", 1, FixedTarget(0, 1), ())
    file_store, s3_store = open_store(f"file://{tmp_path}", S3), open_store("s3://b", S3)
    beside = state_directory(job, org_id="o", store=file_store, environment={})
    assert beside.parent == tmp_path / ".cryo-sync"
    home = state_directory(job, org_id="o", store=s3_store, environment={"HOME": "/h"})
    assert home.parent == Path("/h/.local/state/cryo-ingest")
    other = state_directory(replace(job, name="y"), org_id="o", store=s3_store, environment={"XDG_STATE_HOME": "/x"})
    assert other.parent == Path("/x/cryo-ingest")
    names = {beside.name, home.name, other.name}
    names.add(state_directory(job, org_id="p", store=s3_store, environment={"HOME": "/h"}).name)
    assert len(names) == 4
    with pytest.raises(ValueError, match="HOME"):
        state_directory(job, org_id="o", store=s3_store, environment={})


class Chain:
    """Records the limiter of each node that is opened."""

    meter = RpcMeter()

    def __init__(self) -> None:
        self.limiters: list[Limiter | None] = []

    def open(self, _url: str, *, limiter: Limiter | None = None, **_more: object) -> AbstractAsyncContextManager[Node]:
        """Open nothing."""
        self.limiters.append(limiter)

        @asynccontextmanager
        async def node() -> AsyncIterator[Node]:
            yield cast("Node", None)

        return node()


def test_rpc_2_attempts_at_the_same_urls_share_one_limit():
    """RPC-2: streams that share a pool do not double its rate; other pools have their own."""
    urls = {"TRACE_RPC_POOL_A_URL": "http://a", "TRACE_CRYO_RPC_URL": "http://rest"}
    settings = Settings(mode="real", requests_per_second=10, rpc=RpcPools(urls))
    clock, chain = VirtualClock(), Chain()
    ports = make_ports(settings, open_store("s3://b", S3), redactor=Redactor(()))
    rates = SharedRates(replace(ports, chain=chain, clock=clock, random=Random(0)), settings)
    for pool in ("a", "b", "a", "c"):
        rates.ports_for(pool).chain.open("http://x", name="n", deadline=1.0)
    first, second, third, fourth = chain.limiters
    assert first is third
    assert second is fourth
    assert first is not second
    assert first is not None

    async def send() -> float:
        await first.acquire(20)
        await first.acquire(20)
        return clock.now

    assert clock.run(send()) == 1002.0


def test_without_a_limit_each_attempt_has_its_own_connections():
    """Nothing is wrapped, and fake mode needs no URL."""
    settings = Settings()
    ports = make_ports(settings, open_store("s3://b", S3), redactor=Redactor(()))
    assert SharedRates(ports, settings).ports_for("a") is ports
