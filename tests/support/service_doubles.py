"""In-process doubles of the service's ports, with scripted responses and a journal of the calls."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cryo_ingest.backoff import Backoff
from cryo_ingest.model import Assignment
from cryo_ingest.serve.ports import Claim, LeasePeriod, Message, NotClaimed, Report

TASK_ID = "6e484f2c-567a-44f3-8a5e-c0650b2a169f"
LEASE_SECONDS = 60.0


class SteadyRandom(Random):
    """A random number generator that returns 0, so a backoff waits its full time."""

    def random(self) -> float:
        """Return the minimum."""
        return 0.0


def backoff(longest_seconds: float = 4.0) -> Backoff:
    return Backoff(SteadyRandom(), first_seconds=1.0, longest_seconds=longest_seconds)


def claim_of(payload: object = None, *, sent_at: float = 1000.0, duration_seconds: float = LEASE_SECONDS) -> Claim:
    return Claim(
        Assignment(TASK_ID, 1, payload), LeasePeriod(sent_at, duration_seconds), "l3ase-canary", "c4pability-canary"
    )


@dataclass
class ScriptedDispatcher:
    """Answers each call with the next item of its script: a value, an exception or `Hang`; the last one is repeated."""

    clock: Any
    claims: list[Any] = field(default_factory=list)
    heartbeats: list[Any] = field(default_factory=list)
    completions: list[Any] = field(default_factory=list)
    calls: list[tuple[str, float]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    async def claim(self, _task_id: str) -> Claim | NotClaimed:
        """Answer a claim."""
        answer: Claim | NotClaimed = await self._next("claim", self.claims)
        return answer

    async def heartbeat(self, _claim: Claim, *, timeout_seconds: float) -> LeasePeriod:
        """Answer a heartbeat; a successful one grants a full term from its sending."""
        sent_at = self.clock.monotonic()
        await self._next("heartbeat", self.heartbeats, timeout_seconds)
        return LeasePeriod(sent_at, LEASE_SECONDS)

    async def complete(self, _claim: Claim, report: Report, *, timeout_seconds: float) -> None:
        """Answer a completion and record the report."""
        self.reports.append(report)
        await self._next("complete", self.completions, timeout_seconds)

    def times(self, operation: str) -> list[float]:
        """Return the times of an operation's calls."""
        return [when for name, when in self.calls if name == operation]

    async def _next(self, operation: str, script: list[Any], timeout_seconds: float = 10.0) -> Any:
        self.calls.append((operation, self.clock.monotonic()))
        answer = (script.pop(0) if len(script) > 1 else script[0]) if script else None
        if isinstance(answer, Hang):
            await self.clock.sleep(timeout_seconds)
            answer = answer.then
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass(frozen=True, slots=True)
class Hang:
    """Wait until the request's timeout, then raise an exception."""

    then: Exception


@dataclass
class ListQueue:
    """A queue of bodies; `operations` are the calls for messages, in order."""

    bodies: list[str]
    operations: list[tuple[Any, ...]] = field(default_factory=list)
    on_empty: Callable[[], None] | None = None
    on_operation: Callable[[], None] = lambda: None
    faults: dict[str, list[Exception]] = field(default_factory=dict)

    async def receive(self, *, wait_seconds: int) -> Message | None:
        """Return the next body; after the last one call `on_empty` and return None, or wait without one."""
        del wait_seconds
        self._fail("receive")
        if not self.bodies:
            if self.on_empty is None:
                await asyncio.Event().wait()
            else:
                self.on_empty()
            return None
        return Message(self.bodies.pop(0), "receipt")

    async def hide(self, message: Message, *, seconds: int) -> None:
        """Record it."""
        self._fail("hide")
        self.operations.append(("hide", message.body, seconds))

    async def acknowledge(self, message: Message) -> None:
        """Record it."""
        self._fail("acknowledge")
        self.operations.append(("acknowledge", message.body))

    def _fail(self, operation: str) -> None:
        self.on_operation()
        if self.faults.get(operation):
            raise self.faults[operation].pop(0)
