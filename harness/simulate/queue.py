"""The simulated wake-up queue: at least once, with a visibility timeout."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.history import MessageAcknowledged, MessageReceived
from harness.simulate.boundary import Call

if TYPE_CHECKING:
    from harness.simulate.boundary import Boundary
    from harness.simulate.loop import SimulatedClock
    from harness.simulate.recorder import SimulatedRecorder

VISIBILITY_SECONDS = 30.0


@dataclass(slots=True)
class _Held:
    """A message; `visible_at` is a monotonic time, `deliveries` makes each receipt a new one."""

    body: str
    visible_at: float
    deliveries: int = 0


@dataclass(slots=True)
class SimulatedQueue:
    """One queue, which outlives the workers; implements the wake-ups of `harness.fakes.dispatcher`.

    `progress` is set when a message is deleted.
    """

    boundary: Boundary
    recorder: SimulatedRecorder
    clock: SimulatedClock
    progress: asyncio.Event
    _messages: dict[int, _Held] = field(default_factory=dict)
    _task_ids: dict[int, str] = field(default_factory=dict)
    _sent: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, task_id: str) -> None:
        """Enqueue a wake-up."""
        self._sent += 1
        self._task_ids[self._sent] = task_id
        self._changed.set()
        self._messages[self._sent] = _Held(json.dumps({"task_id": task_id}), self.clock.monotonic())

    def depth(self) -> int:
        """Return the number of messages, visible or not."""
        return len(self._messages)

    async def receive(self, wait_seconds: float, *, life: int) -> tuple[str, str] | None:
        """Return body and receipt of one visible message, after at most `wait_seconds` None."""
        until = self.clock.monotonic() + wait_seconds
        while True:
            if self._visible() is not None or wait_seconds == 0:
                found = await self.boundary.carry_out(Call("queue.receive", self._deliver), life=life)
                if found is not None:
                    return found
            if self.clock.monotonic() >= until:
                return None
            await self._wait_for_a_message(until)

    async def hide(self, receipt: str, seconds: float, *, life: int) -> None:
        """Keep a delivered message invisible for `seconds` from now."""

        def effect(_: bool) -> None:  # noqa: FBT001 - as `Call` demands
            held = self._of(receipt)
            if held is not None:
                held.visible_at = self.clock.monotonic() + seconds
                self._changed.set()

        await self.boundary.carry_out(Call("queue.hide", effect), life=life)

    async def acknowledge(self, receipt: str, *, life: int) -> None:
        """Delete a delivered message."""

        def effect(_: bool) -> None:  # noqa: FBT001 - as `Call` demands
            number = int(receipt.partition(":")[0])
            self._messages.pop(number, None)
            # Also if the message is gone already: the queue answers in the same way.
            self.recorder.add(MessageAcknowledged, task_id=self._task_ids[number], worker=life)
            self.progress.set()

        await self.boundary.carry_out(Call("queue.acknowledge", effect), life=life)

    async def _wait_for_a_message(self, until: float) -> None:
        """Wait until a message becomes visible or is sent, at most until a monotonic time."""
        self._changed.clear()
        first = min((held.visible_at for held in self._messages.values()), default=until)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(first, until) - self.clock.monotonic()):
                await self._changed.wait()

    def _visible(self) -> int | None:
        now = self.clock.monotonic()
        return next((number for number, held in self._messages.items() if held.visible_at <= now), None)

    def _deliver(self, _: bool) -> tuple[str, str] | None:  # noqa: FBT001 - as `Call` demands
        number = self._visible()
        if number is None:
            return None
        held = self._messages[number]
        held.visible_at = self.clock.monotonic() + VISIBILITY_SECONDS
        held.deliveries += 1
        self.recorder.add(MessageReceived, task_id=json.loads(held.body)["task_id"])
        return held.body, f"{number}:{held.deliveries}"

    def _of(self, receipt: str) -> _Held | None:
        number, _, delivery = receipt.partition(":")
        held = self._messages.get(int(number))
        return held if held is not None and held.deliveries == int(delivery) else None
