"""The state of the fake dispatcher: tasks, leases, registered versions. It reads the time only from `clock`.

Every transport passes its requests to `handle`. `tick` makes the changes that depend on time, such as the end of a
lease. `handle` makes them too, before it processes a request; a server or a test calls `tick` when `next_due` passes.
"""

from __future__ import annotations

import copy
import hmac
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

from harness.contract import dataset_version
from harness.fakes.dispatcher.clock import HarnessClock, SystemClock
from harness.fakes.dispatcher.completion import check_completion
from harness.fakes.dispatcher.delivery import LEASE_ENDING_STATUSES, TRANSPORT_ACTIONS, Delivery, TransportAction
from harness.fakes.dispatcher.outbox import Outbox, Wakeups
from harness.fakes.dispatcher.state import Report, TaskState, TaskStatus
from harness.fakes.dispatcher.tokens import Tokens
from harness.fakes.dispatcher.wire import (
    CLAIM,
    CLAUSES,
    HEARTBEAT,
    TOKEN_HEADERS,
    UUID,
    Answer,
    DispatcherRequest,
    Exchange,
    RequestRejected,
    RequestViolation,
    read,
    read_unchecked,
)
from harness.faults import DispatcherFault, Script

ClaimForm = Literal["documented", "lite"]


class Dispatcher:
    """A platform's dispatcher; safe for use by several threads."""

    def __init__(  # noqa: PLR0913 - each is a setting of a platform's operator
        self,
        *,
        queue: Wakeups | None = None,
        clock: HarnessClock | None = None,
        form: ClaimForm = "documented",
        lease_seconds: float = 60.0,
        max_attempts: int = 3,
        backoff_seconds: float = 1.0,
        wakeups: int = 1,
        bucket: str | None = None,
        worker_token: str | None = None,
        seed: int | None = None,
        faults: Iterable[DispatcherFault] = (),
    ) -> None:
        """Start without tasks.

        Args:
            queue: where wake-ups are sent; None sends none.
            clock: the time of leases and backoffs.
            form: the response to a claim; the payload is in `task.config` (documented) or `work_payload` (lite).
            lease_seconds: how long a lease lasts after a claim or heartbeat.
            max_attempts: a task fails when this number of attempts have not succeeded.
            backoff_seconds: the wait before the second attempt; it doubles with each further one.
            wakeups: how many messages to send for each wake-up; duplicates are normal.
            bucket: the bucket that publications must name; None accepts any bucket.
            worker_token: the workers' shared secret; random by default.
            seed: makes the tokens reproducible; they are random by default.
            faults: the script of faults.
        """
        self._tokens = Tokens(seed)
        self._outbox = Outbox(queue, wakeups)
        self.clock: HarnessClock = clock or SystemClock()
        self.form, self.lease_seconds, self.bucket = form, lease_seconds, bucket
        self._max_attempts, self._backoff_seconds = max_attempts, backoff_seconds
        self._script = Script(faults)
        self._lock = threading.RLock()
        self._tasks: dict[str, TaskState] = {}
        self._owners: dict[str, tuple[str, int]] = {}
        self._lease_ended_with: dict[tuple[str, int], int] = {}
        self._listeners: list[Callable[[DispatcherRequest], None]] = []
        self.registered: dict[str, list[Mapping[str, Any]]] = {}
        self.violations: list[RequestViolation] = []
        self.journal: list[Exchange] = []
        self.worker_token = self._tokens.worker(worker_token)

    # Actions of a test or a scenario.

    def add_task(self, payload: Mapping[str, Any], task_id: str | None = None) -> str:
        """Add a task with any payload, valid or not, send its wake-up, and return its id.

        Raises:
            ValueError: the id is not a lower-case UUID, or another task has it.
        """
        with self._lock:
            chosen = task_id or str(uuid.UUID(int=self._tokens.bits(128), version=4))
            if chosen in self._tasks or not UUID.fullmatch(chosen):
                raise ValueError(f"task id {chosen} is taken, or not a lower-case UUID")
            self._tasks[chosen] = TaskState(chosen, copy.deepcopy(payload))
            self._outbox.add(chosen)
            self._outbox.send()
            return chosen

    def task(self, task_id: str) -> TaskState:
        """Return the state of a task."""
        with self._lock:
            self.tick()
            return self._tasks[task_id]

    @property
    def tasks(self) -> list[TaskState]:
        """All tasks in the order in which they were added."""
        with self._lock:
            return list(self._tasks.values())

    @property
    def secrets(self) -> dict[str, str]:
        """Every token that was ever issued, by its label; only request headers and leases may contain them."""
        with self._lock:
            return self._tokens.issued

    def take_lease(self, task_id: str) -> None:
        """End a running task's lease now, as if it had expired."""
        with self._lock:
            task = self._tasks[task_id]
            if task.status is TaskStatus.RUNNING:
                task.expires_at = self.clock.time()
                self._apply_due_changes()
            self._outbox.send()

    def cancel(self, task_id: str) -> None:
        """Cancel a task, running or not."""
        with self._lock:
            if not self._tasks[task_id].ended:
                self._tasks[task_id].status = TaskStatus.CANCELED

    def rotate_token(self) -> str:
        """Replace the worker token; requests with the old one are rejected from now on."""
        with self._lock:
            self.worker_token = self._tokens.worker()
            return self.worker_token

    def wake(self, task_id: str) -> None:
        """Send one more wake-up, as an at-least-once queue may do."""
        with self._lock:
            self._outbox.add(task_id)
            self._outbox.send()

    def add_faults(self, *faults: DispatcherFault) -> None:
        """Add faults to the script; their counts begin now."""
        with self._lock:
            self._script.extend(faults)

    @property
    def unfired_faults(self) -> list[DispatcherFault]:
        """The faults that have not fired; a scenario with such a fault is an ERROR."""
        return self._script.unfired

    def withhold_answer(self, request: DispatcherRequest) -> Callable[[], object]:
        """Treat an answer that ends an attempt's lease as on its way, until the returned function is called."""
        with self._lock:
            owner = self._owners.get(request.headers.get(TOKEN_HEADERS[HEARTBEAT], ""))
            if owner is None or owner not in self._lease_ended_with:
                return lambda: None
            status = self._lease_ended_with.pop(owner)

        return lambda: self._lease_ended_with.setdefault(owner, status)

    def on_request(self, listener: Callable[[DispatcherRequest], None]) -> None:
        """Register a function that is called with every request before the request has any effect."""
        self._listeners.append(listener)

    # Changes that depend on time.

    def next_due(self) -> float | None:
        """Return the earliest time at which `tick` has something to do, or None."""
        with self._lock:
            times = [task.expires_at for task in self._tasks.values() if task.status is TaskStatus.RUNNING]
            times += [task.retry_at for task in self._tasks.values() if task.status is TaskStatus.WAITING]
            times += [self.clock.time()] if self._outbox else []
            return min(times, default=None)

    def tick(self) -> None:
        """End the leases and backoffs that are due, and send a new wake-up for each of these tasks.

        Raises:
            Exception: the queue failed; the next `tick` sends the missing wake-ups.
        """
        with self._lock:
            self._apply_due_changes()
            self._outbox.send()

    def _apply_due_changes(self) -> None:
        now = self.clock.time()
        for task in self._tasks.values():
            if task.status is TaskStatus.RUNNING and task.expires_at <= now:
                task.expired_leases += 1
                self._retry_or_fail(task, wait_seconds=0.0)
            if task.status is TaskStatus.WAITING and task.retry_at <= now:
                task.status = TaskStatus.QUEUED
                self._outbox.add(task.task_id)

    def _retry_or_fail(self, task: TaskState, *, wait_seconds: float) -> None:
        if task.attempt >= self._max_attempts:
            task.status = TaskStatus.FAILED
            return
        task.status = TaskStatus.WAITING
        task.retry_at = self.clock.time() + wait_seconds

    # Requests of a worker.

    def handle(self, request: DispatcherRequest) -> Delivery:
        """Process one request, record it with its answer, and return what the transport has to do."""
        for listener in self._listeners:
            listener(request)
        with self._lock:
            self._apply_due_changes()
            fired = self._script.fire(lambda fault: fault.kind == request.kind)
            number = len(self.journal) + 1
            response_fault = next((fault for fault in fired if fault.do in {"status", "hang", "reset"}), None)
            self._apply_faults(request, [fault for fault in fired if fault.when == "before"])
            if response_fault is not None and response_fault.when == "before":
                answer = self._answer(response_fault.status, {"error": "injected by the scenario"})
            else:
                answer = self._process(request, number)
                self._apply_faults(request, [fault for fault in fired if fault.when == "after"])
                if any(fault.do == "unknown-fields" for fault in fired) and answer.status == HTTPStatus.OK:
                    answer = Answer(200, {**answer.body, "x_unknown": {"nested": [1]}, "note": None}, answer.date)
                if response_fault is not None and response_fault.do == "status":
                    answer = self._answer(response_fault.status, {"error": "injected by the scenario"})
            action = TRANSPORT_ACTIONS.get(response_fault.do, "answer") if response_fault else "answer"
            self._record(number, request, answer, action, [f"{fault.do} {fault.when}" for fault in fired])
            # The request has been executed; if the queue fails here, the next `tick` sends the wake-ups.
            with suppress(Exception):
                self._outbox.send()
            delay_seconds = sum(fault.seconds for fault in fired if fault.do == "delay")
            return Delivery(answer, action, delay_seconds)

    def _apply_faults(self, request: DispatcherRequest, faults: list[DispatcherFault]) -> None:
        task_id = read_unchecked(request).get("task_id")
        for fault in faults:
            if fault.do == "take-lease" and task_id in self._tasks:
                self.take_lease(str(task_id))
            elif fault.do == "cancel" and task_id in self._tasks:
                self.cancel(str(task_id))
            elif fault.do == "rotate-token":
                self.rotate_token()
            elif fault.do == "jump":
                self.clock.advance(fault.seconds)
                self._apply_due_changes()

    def _process(self, request: DispatcherRequest, number: int) -> Answer:
        try:
            fields = read(request)
            kind = request.kind
            self._check_token(request, fields)
            self._check_secrets(fields)
            if kind == CLAIM:
                return self._claim(fields)
            if kind == HEARTBEAT:
                return self._heartbeat(fields)
            return self._complete(fields)
        except RequestRejected as rejected:
            if rejected.clause is not None:
                self.violations.append(
                    RequestViolation(rejected.clause, self._tokens.scrub_text(rejected.reason), number)
                )
            return self._answer(rejected.status, {"error": rejected.reason})

    def _check_token(self, request: DispatcherRequest, fields: Mapping[str, Any]) -> None:
        """Reject a request with a wrong token: 401 for an unknown token, 403 for that of another task or attempt."""
        kind = str(request.kind)
        given = request.headers.get(TOKEN_HEADERS[kind], "")
        if kind == CLAIM:
            # Header values may contain bytes that are not text.
            if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.worker_token.encode()):
                # An old worker token is not a violation: the worker could not know that it was replaced.
                rotated = self._tokens.was_worker_token(given)
                raise RequestRejected(401, "the worker token is not valid", clause=None if rotated else CLAUSES[kind])
            return
        owner = self._owners.get(given)
        if owner is None:
            raise RequestRejected(401, "the capability token is not valid", clause=CLAUSES[kind])
        if owner != (fields["task_id"], fields["attempt"]):
            raise RequestRejected(403, "the capability token belongs to another task or attempt", clause=CLAUSES[kind])
        if owner in self._lease_ended_with:
            # An attempt must send no request after an answer that ends its lease.
            status = self._lease_ended_with[owner]
            clause = "LSE-3" if status == HTTPStatus.CONFLICT else "LSE-5"
            raise RequestRejected(
                status, f"an earlier request of the attempt was answered with {status}", clause=clause
            )

    def _check_secrets(self, fields: Mapping[str, Any]) -> None:
        """Reject a body that contains a worker or capability token: bodies are stored and read by people."""
        if (label := self._tokens.leaked(fields)) is not None:
            raise RequestRejected(400, f"the body contains the {label}", clause="SEC-1")

    def _claim(self, fields: Mapping[str, Any]) -> Answer:
        task = self._tasks.get(fields["task_id"])
        reason = "NotFound" if task is None else task.not_claimed_reason
        if task is None or reason is not None:
            if self.form == "lite":
                return self._answer(409, {"error": reason})
            return self._answer(200, {"status": "NotClaimed", "reason": reason})
        task.status = TaskStatus.RUNNING
        task.attempt += 1
        owner = f"attempt {task.attempt} of {task.task_id}"
        task.lease_token, task.capability_token = self._tokens.lease(owner), self._tokens.capability(owner)
        self._owners[task.capability_token] = (task.task_id, task.attempt)
        lease = {
            "attempt": task.attempt,
            "lease_token": task.lease_token,
            "lease_expires_at": self._renew(task),
            "capability_token": task.capability_token,
        }
        if self.form == "lite":
            return self._answer(200, {"task_id": task.task_id, **lease, "work_payload": task.payload})
        claimed_task = {
            "task_id": task.task_id,
            "attempt": task.attempt,
            "operator": "cryo_ingest",
            "config": task.payload,
        }
        return self._answer(200, {"status": "Claimed", **lease, "task": claimed_task})

    def _heartbeat(self, fields: Mapping[str, Any]) -> Answer:
        task = self._leased_task(fields)
        return self._answer(200, {"lease_expires_at": self._renew(task)})

    def _complete(self, fields: Mapping[str, Any]) -> Answer:
        task = self._tasks[fields["task_id"]]
        serialized = json.dumps(fields, sort_keys=True)
        if task.completion.get(fields["attempt"]) == serialized:
            return self._answer(200, {})  # the answer was lost, and the worker repeats the request
        if fields["attempt"] in task.completion:
            raise RequestRejected(409, "the attempt was already reported with another completion", clause="OUT-1")
        task = self._leased_task(fields)
        check_completion(fields, task.payload, self.bucket)
        published = fields["datasets_published"][0] if fields["datasets_published"] else None
        task.completion[task.attempt] = serialized
        task.reports.append(Report(task.attempt, fields["outcome"], fields["error_message"], published))
        if published is not None:
            task.status = TaskStatus.COMPLETED
            self.registered.setdefault(dataset_version(task.payload), []).append(published)
        elif fields["outcome"] == "fatal_error":
            task.status = TaskStatus.FAILED
        else:
            self._retry_or_fail(task, wait_seconds=self._backoff_seconds * 2 ** (task.attempt - 1))
        return self._answer(200, {})

    def _leased_task(self, fields: Mapping[str, Any]) -> TaskState:
        """Return the task of a request that has its lease; a stale lease is rejected, but is not a violation."""
        task = self._tasks[fields["task_id"]]
        current = (task.attempt, task.lease_token) == (fields["attempt"], fields["lease_token"])
        if task.status is TaskStatus.RUNNING and current:
            return task
        raise RequestRejected(409, "the attempt or its lease is stale")

    def _renew(self, task: TaskState) -> str:
        task.expires_at = self.clock.time() + self.lease_seconds
        return datetime.fromtimestamp(task.expires_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _answer(self, status: int, body: Mapping[str, Any]) -> Answer:
        return Answer(status, body, self.clock.time())

    # The journal.

    def _record(
        self, number: int, request: DispatcherRequest, answer: Answer, action: TransportAction, faults: list[str]
    ) -> None:
        owner = self._owners.get(request.headers.get(TOKEN_HEADERS[HEARTBEAT], "")) if request.kind != CLAIM else None
        if owner is not None and action == "answer" and answer.status in LEASE_ENDING_STATUSES:
            self._lease_ended_with.setdefault(owner, answer.status)
        fields = read_unchecked(request)
        attempt = fields.get("attempt", answer.body.get("attempt"))
        self.journal.append(
            Exchange(
                number=number,
                at=answer.date,
                kind=request.kind,
                task_id=fields.get("task_id") if isinstance(fields.get("task_id"), str) else None,
                attempt=attempt if isinstance(attempt, int) else None,
                request=self._tokens.scrub(fields),
                status=answer.status if action == "answer" else None,
                answer=self._tokens.scrub(answer.body),
                fault=", ".join(faults) or None,
            )
        )
