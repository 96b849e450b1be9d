"""Sends calls until each has an answer: in batches while batches work, and singly where only a single call can decide.

A batch that fails, in whatever form, is split into smaller ones, down to single calls. A call that fails in a batch
that succeeds is sent again singly. An error counts as an answer only if it is final and a single call received it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryo_ingest.backoff import backoff_seconds
from cryo_ingest.errors import NodeUnavailable
from cryo_ingest.logs import log
from cryo_ingest.ports import NodeError
from cryo_ingest.rpc.limits import (
    FIRST_BACKOFF_SECONDS,
    ONE_TRY_POLICY,
    OPTIONAL_POLICY,
    BatchSize,
    InFlightLimiter,
    Outage,
    RetryPolicy,
)
from cryo_ingest.rpc.replies import RequestFailed, failure_of, is_final, is_missing_method

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cryo_ingest.ports import Call, Clock

IndexedCall = tuple[int, "Call"]
"""A call and its index among the calls of the request."""


@dataclass(slots=True)
class EndpointState:
    """What one endpoint's responses have shown so far, kept while it is open."""

    max_batch_calls: int
    outage: Outage
    in_flight: InFlightLimiter
    missing_methods: dict[str, NodeError] = field(default_factory=dict)
    """Methods that the endpoint does not have, with the error that a single call received."""
    failing_methods: set[str] = field(default_factory=set)
    """Methods of optional calls that failed until their policy's end: the next such call is tried once."""
    _batch_sizes: dict[str, BatchSize] = field(default_factory=dict)

    def batch_size(self, method: str) -> BatchSize:
        """Return the batch size of a method: some providers accept batches, but not of every method."""
        if method not in self._batch_sizes:
            self._batch_sizes[method] = BatchSize(self.max_batch_calls, self.max_batch_calls)
        return self._batch_sizes[method]


@dataclass(slots=True)
class CallSender:
    """Sends any number of calls to one endpoint and collects `answers` by index.

    `post` sends one HTTP request and returns its answers by index, or raises RequestFailed. `deadline` is a monotonic
    time.
    """

    name: str
    deadline: float
    clock: Clock
    endpoint: EndpointState
    post: Callable[[list[IndexedCall], float], Awaitable[dict[int, Any]]]
    policy: RetryPolicy
    optional: bool
    answers: dict[int, Any] = field(default_factory=dict)

    async def send(self, calls: list[IndexedCall], *, first_batch_calls: int | None = None) -> None:
        """Send calls of one method: batches concurrently if their size is known to work, otherwise one after another.

        `first_batch_calls` limits the first batch.

        Raises:
            NodeUnavailable: in an exception group.
        """
        while calls:
            if (missing := self.endpoint.missing_methods.get(calls[0][1].method)) is not None:
                self.answers |= {index: missing for index, _ in calls}
                return
            if self.optional and calls[0][1].method in self.endpoint.failing_methods:
                await self._send_each(calls)
                return
            size = self.endpoint.batch_size(calls[0][1].method)
            if first_batch_calls is None and size.is_known_to_work and self.endpoint.outage.failures == 0:
                async with asyncio.TaskGroup() as group:
                    for start in range(0, len(calls), size.size):
                        group.create_task(self._send_batch(calls[start : start + size.size]))
                return
            end = size.size if first_batch_calls is None else max(1, min(size.size, first_batch_calls))
            await self._send_batch(calls[:end])
            calls, first_batch_calls = calls[end:], None

    async def _send_each(self, calls: list[IndexedCall]) -> None:
        """Send each call singly, all concurrently."""
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(self._send_single(call))

    async def _send_batch(self, batch: list[IndexedCall]) -> None:
        """Send a batch, then its unanswered calls in smaller batches."""
        if len(batch) == 1:
            await self._send_single(batch[0])
            return
        sent_at = self.clock.monotonic()
        try:
            answers = await self._try_batch(batch)
        except _BatchObsolete:
            await self.send(batch)
            return
        except RequestFailed as failure:
            if not failure.about_size and not failure.final:
                await self._pause(batch, failure, seconds=self._pause_seconds(failure, tries=1), since=sent_at)
            # A single call finds out at once whether a failure that looks final is final.
            await self.send(batch, first_batch_calls=1 if failure.final else len(batch) // 2)
            return
        self.answers |= {index: answer for index, answer in answers.items() if not isinstance(answer, NodeError)}
        rest = [call for call in batch if call[0] not in self.answers]
        if any(not isinstance(answer, NodeError) for answer in answers.values()):
            await self._resend_failed_calls(rest, answers)
        elif isinstance(self.answers[batch[0][0]], NodeError):
            await self._send_each(rest)
        else:
            await self.send(rest, first_batch_calls=len(batch) // 2)

    async def _resend_failed_calls(self, rest: list[IndexedCall], answers: dict[int, Any]) -> None:
        """Send the rest of a successful batch: at once and singly if the error looks final, else after a pause."""
        errors = {index: answer for index, answer in answers.items() if isinstance(answer, NodeError)}
        final = [call for call in rest if call[0] in errors and is_final(errors[call[0]])]
        passing = [call for call in rest if call not in final]

        async def send_passing() -> None:
            await self.clock.sleep(FIRST_BACKOFF_SECONDS)
            await self.send(passing, first_batch_calls=len(passing) // 2)

        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_each(final))
            if passing:
                group.create_task(send_passing())

    async def _try_batch(self, batch: list[IndexedCall]) -> dict[int, Any]:
        """Send a batch; if every call fails, find out with the first one alone whether the batch was the cause.

        Raises:
            RequestFailed, _BatchObsolete: see `_request`.
        """
        size = self.endpoint.batch_size(batch[0][1].method)
        async with size.one_untested_batch(len(batch)):
            answers = await self._request(batch)
            if all(isinstance(answer, NodeError) for answer in answers.values()):
                await self._send_single(batch[0])
                if not isinstance(self.answers[batch[0][0]], NodeError):
                    size.failed(len(batch))
            return answers

    async def _send_single(self, indexed: IndexedCall) -> None:
        """Send one call until it has an answer or the retry policy ends.

        Raises:
            NodeUnavailable: it has no answer.
        """
        index, call = indexed
        tries, first_sent_at = 0, self.clock.monotonic()
        while call.method not in self.endpoint.missing_methods:
            sent_at = self.clock.monotonic()
            try:
                answers = await self._request([indexed])
            except RequestFailed as failure:
                tries += 1
                since = min(first_sent_at if tries > 1 else sent_at, self.endpoint.outage.since or sent_at)
                pause = self._pause_seconds(failure, tries)
                if self._error_is_answer(call, failure, tries=tries, since=since):
                    self.answers[index] = failure.error
                    return
                tried = max(tries, self.endpoint.outage.failures)
                if failure.final or self.policy.should_stop(tried, self.clock.monotonic() - since):
                    raise self._unavailable(call, failure, tries=tried, since=since) from None
                first_sent_at = since
                await self._pause([indexed], failure, seconds=pause, since=since)
                continue
            self.answers[index] = answer = answers[index]
            if not isinstance(answer, NodeError):
                self.endpoint.failing_methods.discard(call.method)
            elif is_missing_method(answer):
                self.endpoint.missing_methods[call.method] = answer
            return
        self.answers[index] = self.endpoint.missing_methods[call.method]

    def _error_is_answer(self, call: Call, failure: RequestFailed, *, tries: int, since: float) -> bool:
        """Return whether an optional call's error object has persisted long enough to count as its answer."""
        if not self.optional or failure.error is None or failure.final:
            return False
        policy = min(OPTIONAL_POLICY, self.policy, key=lambda each: each.min_seconds)
        if call.method in self.endpoint.failing_methods:
            policy = ONE_TRY_POLICY
        if not policy.should_stop(tries, self.clock.monotonic() - since):
            return False
        self.endpoint.failing_methods.add(call.method)
        self.endpoint.outage.succeeded()  # the endpoint does respond, although with this error
        return True

    async def _request(self, batch: list[IndexedCall]) -> dict[int, Any]:
        """Send one request as soon as the limits allow it, and record what the response shows about the endpoint.

        Raises:
            RequestFailed: no call received a result or a final error.
            _BatchObsolete: while this batch waited, the batch size became smaller.
        """
        endpoint, method = self.endpoint, batch[0][1].method
        size = endpoint.batch_size(method)
        async with endpoint.in_flight.acquire(len(batch)), endpoint.outage.wait_to_send():
            if len(batch) > 1 and (size.size < len(batch) or method in endpoint.missing_methods):
                raise _BatchObsolete
            sent_at = self.clock.monotonic()
            try:
                answers = await self.post(batch, self.policy.timeout_seconds)
                if not any(not isinstance(answer, NodeError) or is_final(answer) for answer in answers.values()):
                    errors = [answer for answer in answers.values() if isinstance(answer, NodeError)]
                    raise failure_of(errors[0]) if errors else RequestFailed("it left calls unanswered")
            except RequestFailed as failure:
                self._record_failure(failure, batch, sent_at=sent_at)
                raise
            endpoint.outage.succeeded()
            if any(not isinstance(answer, NodeError) for answer in answers.values()):
                size.succeeded(len(batch))
            return answers

    def _record_failure(self, failure: RequestFailed, batch: list[IndexedCall], *, sent_at: float) -> None:
        """Update the endpoint's state after a failed request, before the next one is sent."""
        method, outage = batch[0][1].method, self.endpoint.outage
        if len(batch) > 1:
            self.endpoint.batch_size(method).failed(len(batch))
            if failure.about_size:
                return
        before = outage.failures
        pause = outage.failed(sent_at=sent_at, retry_after_seconds=failure.retry_after_seconds)
        if outage.failures > max(before, 1):
            log.warning(
                "endpoint.failing",
                endpoint=self.name,
                method=method,
                reason=failure.reason,
                failures=outage.failures,
                delay_seconds=round(pause, 1),
            )

    def _pause_seconds(self, failure: RequestFailed, tries: int) -> float:
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        return backoff_seconds(max(tries, self.endpoint.outage.failures), first_seconds=FIRST_BACKOFF_SECONDS)

    async def _pause(self, batch: list[IndexedCall], failure: RequestFailed, *, seconds: float, since: float) -> None:
        """Wait before a call is sent again, but never past the attempt's deadline.

        Raises:
            NodeUnavailable: the wait would end after the deadline.
        """
        if self.clock.monotonic() + seconds >= self.deadline:
            raise self._unavailable(batch[0][1], failure, tries=1, since=since) from None
        await self.clock.sleep(seconds)

    def _unavailable(self, call: Call, failure: RequestFailed, *, tries: int, since: float) -> NodeUnavailable:
        waited = self.clock.monotonic() - since
        tried = "" if tries == 1 else f", after {tries} tries in {waited:.0f} s"
        return NodeUnavailable(endpoint_name=self.name, method=call.method, reason=failure.reason + tried)


class _BatchObsolete(Exception):
    """While a batch waited, the batch size became smaller or its method turned out to be missing; it is split."""
