"""Asks calls until each has an answer: in batches while batches work, and alone where only a single call can decide.

Whatever the form of a failure, a batch that fails is tried smaller, down to single calls, and a bad member of a good
batch is asked again alone. An error is an answer only when a single call got it and it is final.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryo_ingest.errors import NodeUnavailable
from cryo_ingest.logs import log
from cryo_ingest.ports import NodeError
from cryo_ingest.rpc.limits import ONCE, OPTIONAL, BatchSize, InFlight, Outage, RetryPolicy, backoff_seconds
from cryo_ingest.rpc.replies import RequestFailed, failure_of, is_final, is_missing_method

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cryo_ingest.ports import Call, Clock

Indexed = tuple[int, "Call"]
"""A call and its place among those that were asked."""


@dataclass(slots=True)
class Learned:
    """What earlier answers of one endpoint have taught, for as long as it is open."""

    most_calls: int
    outage: Outage
    in_flight: InFlight
    missing: dict[str, NodeError] = field(default_factory=dict)
    """Methods that the endpoint does not have, by the error of a single call that showed it."""
    failing: set[str] = field(default_factory=set)
    """Methods of optional calls that failed to the end of their patience: the next such call is tried once."""
    _sizes: dict[str, BatchSize] = field(default_factory=dict)

    def size_of(self, method: str) -> BatchSize:
        """Return the batch size of a method: some providers take batches, but not of every method."""
        if method not in self._sizes:
            self._sizes[method] = BatchSize(self.most_calls, self.most_calls)
        return self._sizes[method]


@dataclass(slots=True)
class Question:
    """One question to an endpoint, of any number of calls; `answers` fills up by place.

    `post` sends one request and returns its answers by place, or raises RequestFailed.
    """

    name: str
    until: float
    clock: Clock
    learned: Learned
    post: Callable[[list[Indexed], float], Awaitable[dict[int, Any]]]
    policy: RetryPolicy
    optional: bool
    answers: dict[int, Any] = field(default_factory=dict)

    async def ask_all(self, calls: list[Indexed], *, most: int | None = None) -> None:
        """Ask calls of one method: batches side by side where their size is known to work, else one before the others.

        The first batch has at most `most` calls.

        Raises:
            NodeUnavailable: within groups.
        """
        while calls:
            if (missing := self.learned.missing.get(calls[0][1].method)) is not None:
                self.answers |= {index: missing for index, _ in calls}
                return
            if self.optional and calls[0][1].method in self.learned.failing:
                await self._ask_each(calls)
                return
            size = self.learned.size_of(calls[0][1].method)
            if most is None and size.is_known_to_work and self.learned.outage.failures == 0:
                pieces = [calls[start : start + size.size] for start in range(0, len(calls), size.size)]
                async with asyncio.TaskGroup() as group:
                    for piece in pieces:
                        group.create_task(self._ask_piece(piece))
                return
            end = size.size if most is None else max(1, min(size.size, most))
            await self._ask_piece(calls[:end])
            calls, most = calls[end:], None

    async def _ask_piece(self, piece: list[Indexed]) -> None:
        await (self._ask_batch(piece) if len(piece) > 1 else self._ask_alone(piece[0]))

    async def _ask_each(self, calls: list[Indexed]) -> None:
        """Ask calls side by side, each alone."""
        async with asyncio.TaskGroup() as group:
            for indexed in calls:
                group.create_task(self._ask_alone(indexed))

    async def _ask_batch(self, batch: list[Indexed]) -> None:
        """Ask a batch; what of it is not answered is asked again in smaller ones."""
        sent_at = self.clock.monotonic()
        try:
            found = await self._send_batch(batch)
        except _Shrunk:
            await self.ask_all(batch)
            return
        except RequestFailed as failure:
            if not failure.about_size and not failure.final:
                await self._pause(batch, failure, self._pause_seconds(failure, tries=1), sent_at)
            # A refusal that looks final is put to a single call at once.
            await self.ask_all(batch, most=1 if failure.final else len(batch) // 2)
            return
        self.answers |= {index: answer for index, answer in found.items() if not isinstance(answer, NodeError)}
        rest = [indexed for indexed in batch if indexed[0] not in self.answers]
        if any(not isinstance(answer, NodeError) for answer in found.values()):
            await self._ask_rest(rest, found)
        elif isinstance(self.answers[batch[0][0]], NodeError):
            await self._ask_each(rest)
        else:
            await self.ask_all(rest, most=len(batch) // 2)

    async def _ask_rest(self, rest: list[Indexed], found: dict[int, Any]) -> None:
        """Ask again what a good batch left over: at once and alone where the error looks final, else after a pause."""
        errors = {index: answer for index, answer in found.items() if isinstance(answer, NodeError)}
        final = [indexed for indexed in rest if indexed[0] in errors and is_final(errors[indexed[0]])]
        passing = [indexed for indexed in rest if indexed not in final]

        async def ask_passing() -> None:
            await self.clock.sleep(backoff_seconds(1))
            await self.ask_all(passing, most=len(passing) // 2)

        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask_each(final))
            if passing:
                group.create_task(ask_passing())

    async def _send_batch(self, batch: list[Indexed]) -> dict[int, Any]:
        """Send a batch; where all of it fails in a way that looks final, let its first call alone decide.

        Raises:
            RequestFailed, _Shrunk: see `_send`.
        """
        size = self.learned.size_of(batch[0][1].method)
        async with size.turn(len(batch)):
            found = await self._send(batch)
            if all(isinstance(answer, NodeError) for answer in found.values()):
                await self._ask_alone(batch[0])
                if not isinstance(self.answers[batch[0][0]], NodeError):
                    size.failed(len(batch))
            return found

    async def _ask_alone(self, indexed: Indexed) -> None:
        """Ask one call until it is answered, or nothing more can be hoped for.

        Raises:
            NodeUnavailable: it never was.
        """
        index, call = indexed
        tries, first_sent_at = 0, self.clock.monotonic()
        while call.method not in self.learned.missing:
            sent_at = self.clock.monotonic()
            try:
                found = await self._send([indexed])
            except RequestFailed as failure:
                tries += 1
                since = min(first_sent_at if tries > 1 else sent_at, self.learned.outage.since or sent_at)
                pause = self._pause_seconds(failure, tries)
                if self._takes_the_error(call, failure, tries, since):
                    self.answers[index] = failure.error
                    return
                tried = max(tries, self.learned.outage.failures)
                if failure.final or self.policy.is_exhausted(tried, self.clock.monotonic() - since):
                    raise self._unavailable(call, failure, tries=tried, since=since) from None
                first_sent_at = since
                await self._pause([indexed], failure, pause, since)
                continue
            self.answers[index] = answer = found[index]
            if not isinstance(answer, NodeError):
                self.learned.failing.discard(call.method)
            elif is_missing_method(answer):
                self.learned.missing[call.method] = answer
            return
        self.answers[index] = self.learned.missing[call.method]

    def _takes_the_error(self, call: Call, failure: RequestFailed, tries: int, since: float) -> bool:
        """Tell whether an optional call's error object has persisted long enough to be its answer."""
        if not self.optional or failure.error is None or failure.final:
            return False
        allowed = ONCE if call.method in self.learned.failing else min(OPTIONAL, self.policy, key=lambda p: p.seconds)
        if not allowed.is_exhausted(tries, self.clock.monotonic() - since):
            return False
        self.learned.failing.add(call.method)
        self.learned.outage.ended()  # the endpoint does answer, if only with this
        return True

    async def _send(self, batch: list[Indexed]) -> dict[int, Any]:
        """Send one request when it is its turn, and note what its answer says of the endpoint.

        Raises:
            RequestFailed: no call of it got a result, or an error that is final.
            _Shrunk: while it waited, the size of a batch has become less than this one's.
        """
        learned, method = self.learned, batch[0][1].method
        size = learned.size_of(method)
        async with learned.in_flight.hold(len(batch)), learned.outage.turn():
            if len(batch) > 1 and (size.size < len(batch) or method in learned.missing):
                raise _Shrunk
            sent_at = self.clock.monotonic()
            try:
                found = await self.post(batch, self.policy.timeout_seconds)
                if not any(not isinstance(answer, NodeError) or is_final(answer) for answer in found.values()):
                    errors = [answer for answer in found.values() if isinstance(answer, NodeError)]
                    raise failure_of(errors[0]) if errors else RequestFailed("it left calls unanswered")
            except RequestFailed as failure:
                self._note(failure, batch, sent_at)
                raise
            learned.outage.ended()
            if any(not isinstance(answer, NodeError) for answer in found.values()):
                size.worked(len(batch))
            return found

    def _note(self, failure: RequestFailed, batch: list[Indexed], sent_at: float) -> None:
        """Learn from a request that failed, before the next one is sent."""
        method, outage = batch[0][1].method, self.learned.outage
        if len(batch) > 1:
            self.learned.size_of(method).failed(len(batch))
            if failure.about_size:
                return
        before = outage.failures
        pause = outage.failed(sent_at=sent_at, retry_after_seconds=failure.retry_after_seconds)
        if outage.failures > max(before, 1):
            delay = round(pause, 1)
            log.warning(
                "endpoint.failing",
                endpoint=self.name,
                method=method,
                reason=failure.reason,
                failures=outage.failures,
                delay_seconds=delay,
            )

    def _pause_seconds(self, failure: RequestFailed, tries: int) -> float:
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        return backoff_seconds(max(tries, self.learned.outage.failures))

    async def _pause(self, batch: list[Indexed], failure: RequestFailed, seconds: float, since: float) -> None:
        """Wait before a call is asked again, but never past the attempt's deadline.

        Raises:
            NodeUnavailable: the wait would end after it.
        """
        if self.clock.monotonic() + seconds >= self.until:
            raise self._unavailable(batch[0][1], failure, tries=1, since=since) from None
        await self.clock.sleep(seconds)

    def _unavailable(self, call: Call, failure: RequestFailed, *, tries: int, since: float) -> NodeUnavailable:
        waited = self.clock.monotonic() - since
        tried = "" if tries == 1 else f", after {tries} tries in {waited:.0f} s"
        return NodeUnavailable(endpoint=self.name, method=call.method, reason=failure.reason + tried)


class _Shrunk(Exception):
    """A batch waited until it was too large, or its method was known to be missing; it is split and asked again."""
