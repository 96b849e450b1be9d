"""What a simulated worker gets: the doubles of one run, bound to one life of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.simulate.boundary import Crashed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from random import Random

    from harness.simulate.boundary import Boundary
    from harness.simulate.http import HttpAnswer, SimulatedDispatcher
    from harness.simulate.loop import SimulatedClock
    from harness.simulate.process import SimulatedCryo
    from harness.simulate.queue import SimulatedQueue
    from harness.simulate.store import SimulatedStore, Write
    from harness.stores.memory import Content


@dataclass(slots=True)
class Bench:
    """The doubles for one life of a worker; every call of a dead worker raises `Crashed`.

    `stop` is set when the worker shall end, as by SIGTERM. `on_death` has what the kernel does when a process dies,
    such as the release of its locks; a target adds to it. `variables` is the worker's environment.
    """

    life: int
    boundary: Boundary
    clock: SimulatedClock
    random: Random
    store_double: SimulatedStore
    queue_double: SimulatedQueue
    dispatcher_double: SimulatedDispatcher
    cryo_double: SimulatedCryo
    staging_root: Path
    worker_token: str
    bucket: str
    chain_id: int
    variables: Mapping[str, str]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    on_death: list[Callable[[], None]] = field(default_factory=list)

    async def list(self, prefix: str) -> dict[str, Content]:
        """List the objects below a prefix; see `SimulatedStore`."""
        return await self.store_double.list(prefix, life=self.life)

    async def read(self, key: str) -> Content | None:
        """Return an object."""
        return await self.store_double.read(key, life=self.life)

    async def put(self, key: str, write: Write) -> None:
        """Create or replace an object.

        Raises:
            Conflict: the condition does not hold.
        """
        await self.store_double.put(key, write, life=self.life)

    async def delete(self, key: str) -> None:
        """Delete an object."""
        await self.store_double.delete(key, life=self.life)

    async def receive(self, wait_seconds: float) -> tuple[str, str] | None:
        """Return body and receipt of a wake-up; see `SimulatedQueue`."""
        return await self.queue_double.receive(wait_seconds, life=self.life)

    async def hide(self, receipt: str, seconds: float) -> None:
        """Keep a wake-up invisible."""
        await self.queue_double.hide(receipt, seconds, life=self.life)

    async def acknowledge(self, receipt: str) -> None:
        """Delete a wake-up."""
        await self.queue_double.acknowledge(receipt, life=self.life)

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Send a request to the dispatcher; see `SimulatedDispatcher`."""
        return await self.dispatcher_double.post(path, headers, body, life=self.life)

    async def run_cryo(self, arguments: Sequence[str], directory: Path, variables: Iterable[str]) -> int:
        """Run Cryo; see `SimulatedCryo`."""
        return await self.cryo_double.run(arguments, directory, variables, life=self.life)

    async def ask_node(self, method: str) -> None:
        """Let a node's answer take its time, or fail; the caller knows what the node would answer."""
        await self.boundary.carry_out(f"node.{method}", lambda: None, life=self.life)

    def touch_disk(self) -> None:
        """Check, before any change of the local disk, that the worker is alive."""
        if self.life != self.boundary.life:
            raise Crashed


Target = Callable[[Bench], Awaitable[None]]
"""Runs a worker's service until `Bench.stop` is set."""
