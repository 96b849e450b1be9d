"""What a simulated worker gets: the doubles of one run, bound to one life of a worker."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.simulate.boundary import Call, Refused
from harness.simulate.disk import FREE_BYTES
from harness.simulate.process import POOL_KEY

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from random import Random

    from harness.simulate.boundary import Boundary
    from harness.simulate.disk import SimulatedDisk
    from harness.simulate.http import HttpAnswer, SimulatedDispatcher
    from harness.simulate.loop import SimulatedClock
    from harness.simulate.process import CryoResult, SimulatedCryo
    from harness.simulate.queue import SimulatedQueue
    from harness.simulate.store import SimulatedStore, Write
    from harness.stores.memory import Content


@dataclass(frozen=True, slots=True)
class Doubles:
    """The doubles that the workers of one run share, and what every worker is configured with."""

    boundary: Boundary
    clock: SimulatedClock
    store: SimulatedStore
    queue: SimulatedQueue
    dispatcher: SimulatedDispatcher
    cryo: SimulatedCryo
    disk: SimulatedDisk
    worker_token: str
    bucket: str
    chain_id: int
    head: int
    variables: Mapping[str, str]


@dataclass(slots=True)
class Bench:
    """The doubles for one life of a worker; every call of a dead worker raises `Crashed`.

    A worker gets its signals from `signals`, at first SIGTERM. `on_death` has what the kernel does when a process
    dies, such as the release of its locks; a target adds to it.
    """

    life: int
    random: Random
    doubles: Doubles
    signals: asyncio.Queue[signal.Signals] = field(default_factory=asyncio.Queue)
    on_death: list[Callable[[], None]] = field(default_factory=list)

    @property
    def clock(self) -> SimulatedClock:
        """The time."""
        return self.doubles.clock

    @property
    def staging_root(self) -> Path:
        """An existing directory, which all workers share."""
        return self.doubles.disk.root

    @property
    def worker_token(self) -> str:
        """The workers' secret for the dispatcher."""
        return self.doubles.worker_token

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.doubles.bucket

    @property
    def chain_id(self) -> int:
        """The chain of the node."""
        return self.doubles.chain_id

    @property
    def head(self) -> int:
        """The node's newest block."""
        return self.doubles.head

    @property
    def pool_url(self) -> str:
        """The URL of the RPC pool, which has a secret; nobody answers there (see `ask_node`)."""
        return f"http://node.invalid/{POOL_KEY}"

    @property
    def variables(self) -> Mapping[str, str]:
        """The worker's environment."""
        return self.doubles.variables

    async def list(self, prefix: str) -> dict[str, Content]:
        """List the objects below a prefix; see `SimulatedStore`."""
        return await self.doubles.store.list(prefix, life=self.life)

    async def read(self, key: str) -> Content | None:
        """Return an object."""
        return await self.doubles.store.read(key, life=self.life)

    async def put(self, key: str, write: Write) -> None:
        """Create or replace an object.

        Raises:
            Conflict: the condition does not hold.
        """
        await self.doubles.store.put(key, write, life=self.life)

    async def delete(self, key: str) -> None:
        """Delete an object."""
        await self.doubles.store.delete(key, life=self.life)

    async def receive(self, wait_seconds: float) -> tuple[str, str] | None:
        """Return body and receipt of a wake-up; see `SimulatedQueue`."""
        return await self.doubles.queue.receive(wait_seconds, life=self.life)

    async def hide(self, receipt: str, seconds: float) -> None:
        """Keep a wake-up invisible."""
        await self.doubles.queue.hide(receipt, seconds, life=self.life)

    async def acknowledge(self, receipt: str) -> None:
        """Delete a wake-up."""
        await self.doubles.queue.acknowledge(receipt, life=self.life)

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Send a request to the dispatcher; see `SimulatedDispatcher`."""
        return await self.doubles.dispatcher.post(path, headers, body, life=self.life)

    async def run_cryo(self, arguments: Sequence[str], directory: Path, variables: Iterable[str]) -> CryoResult:
        """Run Cryo; see `SimulatedCryo`."""
        return await self.doubles.cryo.run(arguments, directory, variables, life=self.life)

    async def ask_node(self, method: str) -> None:
        """Let a node's answer take its time, or fail; the caller knows what the node would answer."""
        await self.doubles.boundary.carry_out(Call(f"node.{method}", lambda _: None), life=self.life)

    def touch_disk(self, operation: str) -> None:
        """Let a change of the local disk fail as planned; `operation` is a word for what changes it.

        Raises:
            OSError: there is no space left.
        """
        try:
            self.doubles.boundary.pass_disk(operation, life=self.life)
        except Refused:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None

    def free_bytes(self, directory: Path) -> int:
        """Return the free space of the staging disk."""
        del directory
        return FREE_BYTES

    def stamp(self, path: Path) -> None:
        """Give a new file or directory of the worker the virtual time."""
        self.doubles.disk.stamp(path)


Target = Callable[[Bench], Awaitable[None]]
"""Runs a worker's service until a signal, which it gets from `Bench.signals`, ends it."""
