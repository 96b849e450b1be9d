"""Sends calls until each has an answer: in batches while batches work, otherwise one by one.

A batch that fails in any way is split into smaller ones, down to single calls. If only some calls of a batch fail,
those are sent again, one by one or in smaller batches. An error is accepted as the answer to a call only if it is final
and the call was sent alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryo_ingest.errors import NodeUnavailable
from cryo_ingest.logs import log
from cryo_ingest.ports import NodeError
from cryo_ingest.rpc.endpoint_state import EndpointState
from cryo_ingest.rpc.hedging import IndexedCall, Post
from cryo_ingest.rpc.limits import (
    ONE_TRY_POLICY,
    OPTIONAL_POLICY,
    RetryPolicy,
)
from cryo_ingest.rpc.log_ranges import range_refusal, spans_blocks
from cryo_ingest.rpc.methods import key_of, remember
from cryo_ingest.rpc.replies import (
    AnswerTooLarge,
    OutOfTime,
    RequestFailed,
    failure_of,
    is_final,
    is_missing_method,
    is_timeout,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryo_ingest.ports import Call, Clock


@dataclass(slots=True)
class CallSender:
    """Sends any number of calls to one endpoint and collects `answers` by index.

    `post` sends one HTTP request, and `again` a request that was slow; see `hedging`. `deadline` is a monotonic time.
    `deliver` is called with index and answer as soon as a call has its answer.
    """

    endpoint_name: str
    deadline: float
    clock: Clock
    state: EndpointState
    post: Post
    again: Post
    policy: RetryPolicy
    optional: bool
    deliver: Callable[[int, Any], None] | None = None
    answers: dict[int, Any] = field(default_factory=dict)
    _sent: set[int] = field(default_factory=set)

    async def send(self, calls: list[IndexedCall], *, first_batch_calls: int | None = None) -> None:
        """Send calls of one method. Batches are sent concurrently once a batch of their size has succeeded.

        Until then, and during an outage, one batch at a time is sent.

        `first_batch_calls` limits the first batch.

        Raises:
            NodeUnavailable: in an exception group.
        """
        while calls:
            if (missing := self.state.missing_methods.get(calls[0][1].method)) is not None:
                for index, _ in calls:
                    self._settle(index, missing)
                return
            if self.optional and calls[0][1].method in self.state.failing_methods:
                await self._send_each(calls)
                return
            works = self.state.batch_size(calls[0][1].method).is_known_to_work
            size = self.state.next_batch_calls(calls[0][1].method)
            if first_batch_calls is None and works and self.state.outage.failures == 0:
                async with asyncio.TaskGroup() as group:
                    for start in range(0, len(calls), size):
                        group.create_task(self._send_batch(calls[start : start + size]))
                return
            end = size if first_batch_calls is None else max(1, min(size, first_batch_calls))
            await self._send_batch(calls[:end])
            calls, first_batch_calls = calls[end:], None

    def _settle(self, index: int, answer: Any) -> None:
        self.answers[index] = answer
        if self.deliver is not None:
            self.deliver(index, answer)

    async def _send_each(self, calls: list[IndexedCall]) -> None:
        """Send each call in a request of its own, all concurrently."""
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(self._send_single(call))

    async def _send_batch(self, batch: list[IndexedCall]) -> None:
        """Send a batch, and then resend the calls that got no result."""
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
            if _refuses_ranges(failure, batch):
                await self._send_ranges(batch)
                return
            if not failure.about_size and not failure.final:
                self._check_outage(batch, failure)
                await self._pause(batch, failure, seconds=self._pause_seconds(failure, tries=1), since=sent_at)
            # If the failure looks final, one call is sent first: it shows whether it really is.
            await self.send(batch, first_batch_calls=1 if failure.final else len(batch) // 2)
            return
        for index, answer in answers.items():
            if not isinstance(answer, NodeError):
                self._settle(index, answer)
        failed = [call for call in batch if call[0] not in self.answers]
        if any(not isinstance(answer, NodeError) for answer in answers.values()):
            await self._resend_failed_calls(failed, answers)
        elif isinstance(self.answers[batch[0][0]], NodeError):
            await self._send_each(failed)
        else:
            await self.send(failed, first_batch_calls=len(batch) // 2)

    async def _send_ranges(self, batch: list[IndexedCall]) -> None:
        """Resend calls for ranges of logs after a timeout: the first one shows whether it was for the number of calls.

        So a range that is too large is refused twice at most, once in a batch and once alone.
        """
        await self._send_single(batch[0])
        if isinstance(self.answers[batch[0][0]], NodeError):
            await self._send_each(batch[1:])
        else:
            await self.send(batch[1:], first_batch_calls=len(batch) // 2)

    async def _resend_failed_calls(self, failed: list[IndexedCall], answers: dict[int, Any]) -> None:
        """Resend the calls that failed in a batch in which others succeeded.

        Calls whose error looks final are sent at once, one by one; the others after a pause, in batches.
        """
        errors = {index: answer for index, answer in answers.items() if isinstance(answer, NodeError)}
        final = [call for call in failed if call[0] in errors and _seems_final(call[1], errors[call[0]])]
        temporary = [call for call in failed if call not in final]

        async def resend_temporary() -> None:
            await self.clock.sleep(self.state.outage.pause_seconds(1))
            await self.send(temporary, first_batch_calls=len(temporary) // 2)

        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_each(final))
            if temporary:
                group.create_task(resend_temporary())

    async def _try_batch(self, batch: list[IndexedCall]) -> dict[int, Any]:
        """Send a batch. If every call fails, resend the first one alone to see whether the batch size was the cause.

        Raises:
            RequestFailed, _BatchObsolete: see `_request`.
        """
        size = self.state.batch_size(batch[0][1].method)
        async with size.wait_if_untested(len(batch)):
            answers = await self._request(batch)
            if all(isinstance(answer, NodeError) for answer in answers.values()):
                await self._send_single(batch[0])
                if not isinstance(self.answers[batch[0][0]], NodeError):
                    size.failed(len(batch))
            return answers

    async def _send_single(self, indexed: IndexedCall) -> None:
        """Send one call until it has an answer or the retry policy gives up.

        Raises:
            NodeUnavailable: the call got no answer.
        """
        index, call = indexed
        tries, first_sent_at = 0, self.clock.monotonic()
        while call.method not in self.state.missing_methods:
            sent_at = self.clock.monotonic()
            try:
                answers = await self._request([indexed])
            except RequestFailed as failure:
                tries += 1
                since = min(first_sent_at if tries > 1 else sent_at, self.state.outage.since or sent_at)
                pause = self._pause_seconds(failure, tries)
                if self._error_is_answer(call, failure, tries=tries, since=since):
                    self._settle(index, failure.error)
                    return
                tries_or_failures = max(tries, self.state.outage.failures)
                if failure.final or self.policy.should_stop(tries_or_failures, self.clock.monotonic() - since):
                    raise self._unavailable(call, failure, tries=tries_or_failures, since=since) from None
                first_sent_at = since
                await self._pause([indexed], failure, seconds=pause, since=since)
                continue
            answer = answers[index]
            if not isinstance(answer, NodeError):
                self.state.failing_methods.pop(call.method, None)
            elif is_missing_method(answer):
                remember(self.state.missing_methods, call.method, answer)
            self._settle(index, answer)
            return
        self._settle(index, self.state.missing_methods[call.method])

    def _check_outage(self, batch: list[IndexedCall], failure: RequestFailed) -> None:
        """Give up if the endpoint has answered nothing for longer than the policy allows.

        Raises:
            NodeUnavailable: it has.
        """
        outage, now = self.state.outage, self.clock.monotonic()
        since = outage.since
        if since is not None and self.policy.should_stop(outage.failures, now - since):
            raise self._unavailable(batch[0][1], failure, tries=outage.failures, since=since) from None

    def _error_is_answer(self, call: Call, failure: RequestFailed, *, tries: int, since: float) -> bool:
        """Return whether an optional call has failed long enough for its error to be accepted as the answer."""
        if not self.optional or failure.error is None:
            return False
        if failure.final:
            return isinstance(failure, AnswerTooLarge)
        policy = min(OPTIONAL_POLICY, self.policy, key=lambda policy: policy.min_seconds)
        if call.method in self.state.failing_methods:
            policy = ONE_TRY_POLICY
        if not policy.should_stop(tries, self.clock.monotonic() - since):
            return False
        remember(self.state.failing_methods, call.method, None)
        self.state.outage.succeeded()  # the endpoint responds, even if only with this error
        return True

    async def _request(self, batch: list[IndexedCall]) -> dict[int, Any]:
        """Send one request as soon as the limits allow it, and update the endpoint's batch size and outage state.

        Raises:
            RequestFailed: no call received a result or a final error.
            _BatchObsolete: while this batch waited, the batch size became smaller, or its method turned out to be
                missing.
        """
        state, method = self.state, batch[0][1].method
        size, sizes = state.batch_size(method), state.answer_sizes(method)
        async with (
            state.in_flight.acquire(len(batch), int(sizes.bytes_per_call * len(batch))),
            state.outage.wait_to_send(),
        ):
            async with state.turn:
                self._check_batch(batch)  # a batch that is not sent must not use up the rate
                await state.wait_until_allowed(len(batch))
            self._check_batch(batch)
            self._count_retries(batch)
            sent_at = self.clock.monotonic()
            try:
                response = await state.hedger.send(batch, self.policy.timeout_seconds, post=self.post, again=self.again)
                answers = response.answers
                if not any(not isinstance(answer, NodeError) or is_final(answer) for answer in answers.values()):
                    errors = [answer for answer in answers.values() if isinstance(answer, NodeError)]
                    raise failure_of(errors[0]) if errors else RequestFailed("it left calls unanswered")
            except RequestFailed as failure:
                if len(batch) == 1 and (refusal := range_refusal(batch[0][1], failure)) is not None:
                    return {batch[0][0]: refusal}
                self._record_failure(failure, batch, sent_at=sent_at)
                raise
            state.outage.succeeded()
            state.rate.accepted(len(batch))
            if any(not isinstance(answer, NodeError) for answer in answers.values()):
                size.succeeded(len(batch), seconds=self.clock.monotonic() - sent_at)
                sizes.observe(len(batch), response.size_bytes)
            return answers

    def _check_batch(self, batch: list[IndexedCall]) -> None:
        method = batch[0][1].method
        is_too_large = self.state.batch_size(method).size < len(batch)
        if len(batch) > 1 and (is_too_large or method in self.state.missing_methods):
            raise _BatchObsolete

    def _count_retries(self, batch: list[IndexedCall]) -> None:
        before = len(self._sent)
        self._sent.update(index for index, _ in batch)
        retried = before + len(batch) - len(self._sent)
        if retried:
            self.state.meter.of(key_of(batch[0][1].method)).retried_calls += retried

    def _record_failure(self, failure: RequestFailed, batch: list[IndexedCall], *, sent_at: float) -> None:
        """Update the endpoint's state after a failed request, before the next one is sent."""
        method, outage = batch[0][1].method, self.state.outage
        if failure.about_rate:
            self.state.meter.of(key_of(method)).rate_limited_requests += 1
        # A batch that is larger than those that have worked may be refused for its size.
        about_rate = failure.about_rate and len(batch) <= self.state.batch_size(method).largest_success
        if about_rate:
            self.state.rate.refused(sent_at=sent_at)
        if len(batch) > 1 and not (about_rate and self.state.rate.was_forgotten):
            self.state.batch_size(method).failed(len(batch))
            if failure.about_size or _refuses_ranges(failure, batch):
                return
        before = outage.failures
        pause = outage.failed(sent_at=sent_at, retry_after_seconds=failure.retry_after_seconds)
        if outage.failures > max(before, 1):
            log.warning(
                "endpoint.failing",
                endpoint=self.endpoint_name,
                method=method,
                reason=failure.reason,
                failures=outage.failures,
                delay_seconds=round(pause, 1),
            )

    def _pause_seconds(self, failure: RequestFailed, tries: int) -> float:
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        return self.state.outage.pause_seconds(max(tries, self.state.outage.failures))

    async def _pause(self, batch: list[IndexedCall], failure: RequestFailed, *, seconds: float, since: float) -> None:
        """Wait before a call is sent again, but not past the attempt's deadline.

        Raises:
            NodeUnavailable: the wait would end after the deadline.
        """
        if self.clock.monotonic() + seconds >= self.deadline:
            # A provider that wants to be left alone for longer is unavailable, whatever time is left.
            problem = self._unavailable(batch[0][1], failure, tries=1, since=since)
            problem.out_of_time = failure.retry_after_seconds is None
            raise problem from None
        await self.clock.sleep(seconds)

    def _unavailable(self, call: Call, failure: RequestFailed, *, tries: int, since: float) -> NodeUnavailable:
        waited = self.clock.monotonic() - since
        duration = "" if tries == 1 else f", after {tries} tries in {waited:.0f} s"
        return NodeUnavailable(
            endpoint_name=self.endpoint_name,
            method=call.method,
            reason=failure.reason + duration,
            out_of_time=isinstance(failure, OutOfTime),
        )


def _refuses_ranges(failure: RequestFailed, batch: list[IndexedCall]) -> bool:
    """Return whether a batch timed out that has calls for several blocks each."""
    return failure.about_time and all(spans_blocks(call) for _, call in batch)


def _seems_final(call: Call, error: NodeError) -> bool:
    return is_final(error) or (is_timeout(error) and spans_blocks(call))


class _BatchObsolete(Exception):
    """While a batch waited, the batch size became smaller or its method turned out to be missing.

    The caller sends its calls again.
    """
