"""The state machine: tasks, leases, fencing, registration; no transport, and no time but the clock's.

Every request goes through `handle`, whoever carries it. What time brings about (a lease that ends, a backoff that is
over) happens in `tick`, which `handle` calls first and whoever drives the clock calls when `next_due` has come.
"""

from __future__ import annotations

import copy
import hmac
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

from harness.contract import dataset_version
from harness.fakes.dispatcher.clock import HarnessClock, SystemClock
from harness.fakes.dispatcher.completion import check_completion
from harness.fakes.dispatcher.faults import DispatcherFault, Script
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
    Exchange,
    Request,
    RequestRejected,
    Violation,
    peek,
    read,
)

Form = Literal["documented", "lite"]
Then = Literal["answer", "hang", "reset"]
_WAYS: dict[str, Then] = {"hang": "hang", "reset": "reset"}
ENDS_THE_LEASE = {401, 403, 409}
"""Read by an attempt, these are a lost lease (LSE-3, LSE-5): it asks nothing more."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the transport is to do with an answer: give it, late or at once, or let the request hang or break."""

    answer: Answer
    then: Then = "answer"
    late_seconds: float = 0.0


class Dispatcher:
    """A platform's dispatcher; safe to be used from several threads."""

    def __init__(  # noqa: PLR0913 - each is one thing that a platform's operator sets
        self,
        *,
        queue: Wakeups | None = None,
        clock: HarnessClock | None = None,
        form: Form = "documented",
        lease_seconds: float = 60.0,
        max_attempts: int = 3,
        backoff_seconds: float = 1.0,
        wakeups: int = 1,
        bucket: str | None = None,
        worker_token: str | None = None,
        seed: int | None = None,
        faults: Iterable[DispatcherFault] = (),
    ) -> None:
        """Begin without tasks.

        Args:
            queue: where wake-ups go; None keeps them to itself.
            clock: whose time leases and backoffs are by.
            form: which of the contract's two claim answers it gives.
            lease_seconds: how long a claim or heartbeat holds.
            max_attempts: after so many, a task that could be retried has failed.
            backoff_seconds: the wait before the second attempt; it doubles with each further one.
            wakeups: how many messages each wake-up is, duplicates being normal.
            bucket: the bucket that publications must name; None accepts any.
            worker_token: the workers' shared secret; a random one by default.
            seed: makes the tokens reproducible; they are random by default.
            faults: the script.
        """
        self._tokens = Tokens(seed)
        self._outbox = Outbox(queue, wakeups)
        self.clock: HarnessClock = clock or SystemClock()
        self.form, self.lease_seconds, self.bucket = form, lease_seconds, bucket
        self._max_attempts, self._backoff_seconds = max_attempts, backoff_seconds
        self._script = Script(list(faults))
        self._lock = threading.RLock()
        self._tasks: dict[str, TaskState] = {}
        self._owners: dict[str, tuple[str, int]] = {}
        self._told: dict[tuple[str, int], int] = {}
        self._listeners: list[Callable[[Request], None]] = []
        self.registered: dict[str, list[Mapping[str, Any]]] = {}
        self.violations: list[Violation] = []
        self.journal: list[Exchange] = []
        self.worker_token = self._tokens.worker(worker_token)

    # What a test or a scenario does to it.

    def add_task(self, payload: Mapping[str, Any], task_id: str | None = None) -> str:
        """Enter a task with any payload, valid or not, send its wake-up, and return its id.

        Raises:
            ValueError: the id is no lower-case UUID, or is another task's.
        """
        with self._lock:
            chosen = task_id or str(uuid.UUID(int=self._tokens.bits(128), version=4))
            if chosen in self._tasks or not UUID.fullmatch(chosen):
                raise ValueError(f"task id {chosen} is taken, or no lower-case UUID")
            self._tasks[chosen] = TaskState(chosen, copy.deepcopy(payload))
            self._outbox.add(chosen)
            self._outbox.send()
            return chosen

    def task(self, task_id: str) -> TaskState:
        """Return how a task stands."""
        with self._lock:
            self.tick()
            return self._tasks[task_id]

    @property
    def tasks(self) -> list[TaskState]:
        """All tasks in the order in which they were entered."""
        with self._lock:
            return list(self._tasks.values())

    @property
    def secrets(self) -> dict[str, str]:
        """Every token that was ever given out, by its label: what nothing but a header or a lease may hold."""
        with self._lock:
            return self._tokens.given_out

    def take_lease(self, task_id: str) -> None:
        """End a running task's lease now, as if its time had come."""
        with self._lock:
            task = self._tasks[task_id]
            if task.status is TaskStatus.RUNNING:
                task.expires_at = self.clock.time()
                self._pass_time()
            self._outbox.send()

    def cancel(self, task_id: str) -> None:
        """Cancel a task, running or not."""
        with self._lock:
            if not self._tasks[task_id].ended:
                self._tasks[task_id].status = TaskStatus.CANCELED

    def rotate_token(self) -> str:
        """Replace the worker token; the old one is refused from now on."""
        with self._lock:
            self.worker_token = self._tokens.worker()
            return self.worker_token

    def wake(self, task_id: str) -> None:
        """Send one more wake-up, as an at-least-once queue would."""
        with self._lock:
            self._outbox.add(task_id)
            self._outbox.send()

    def add_faults(self, *faults: DispatcherFault) -> None:
        """Add to the script; the counts of these begin now."""
        with self._lock:
            self._script.extend(list(faults))

    @property
    def unfired_faults(self) -> list[DispatcherFault]:
        """The faults that have not struck: a scenario that waits for one of these has not shown anything."""
        return self._script.unfired

    def on_request(self, listener: Callable[[Request], None]) -> None:
        """Have a function called with every request before it has any effect."""
        self._listeners.append(listener)

    # What time does.

    def next_due(self) -> float | None:
        """Return the earliest time at which `tick` has something to do."""
        with self._lock:
            times = [task.expires_at for task in self._tasks.values() if task.status is TaskStatus.RUNNING]
            times += [task.due_at for task in self._tasks.values() if task.status is TaskStatus.WAITING]
            times += [self.clock.time()] if self._outbox else []
            return min(times, default=None)

    def tick(self) -> None:
        """End the leases and the backoffs whose time has come, each with a new wake-up.

        Raises:
            Exception: the queue's own; what it did not take is sent again by the next tick.
        """
        with self._lock:
            self._pass_time()
            self._outbox.send()

    def _pass_time(self) -> None:
        now = self.clock.time()
        for task in self._tasks.values():
            if task.status is TaskStatus.RUNNING and task.expires_at <= now:
                task.expired_leases += 1
                self._again(task, wait_seconds=0.0)
            if task.status is TaskStatus.WAITING and task.due_at <= now:
                task.status = TaskStatus.QUEUED
                self._outbox.add(task.task_id)

    def _again(self, task: TaskState, *, wait_seconds: float) -> None:
        if task.attempt >= self._max_attempts:
            task.status = TaskStatus.FAILED
            return
        task.status = TaskStatus.WAITING
        task.due_at = self.clock.time() + wait_seconds

    # What a worker asks.

    def handle(self, request: Request) -> Delivery:
        """Take one request, write it down with its answer, and say what the transport is to do."""
        for listener in self._listeners:
            listener(request)
        with self._lock:
            self._pass_time()
            fired = self._script.fire(request.kind)
            number = len(self.journal) + 1
            then = next((fault for fault in fired if fault.do in {"status", "hang", "reset"}), None)
            self._change_the_world(request, [fault for fault in fired if fault.when == "before"])
            if then is not None and then.when == "before":
                answer = self._answer(then.status, {"error": "by script"})
            else:
                answer = self._effect(request, number)
                self._change_the_world(request, [fault for fault in fired if fault.when == "after"])
                if any(fault.do == "unknown-fields" for fault in fired) and answer.status == HTTPStatus.OK:
                    answer = Answer(200, {**answer.body, "x_unknown": {"nested": [1]}, "note": None}, answer.date)
                if then is not None and then.do == "status":
                    answer = self._answer(then.status, {"error": "by script"})
            way: Then = _WAYS.get(then.do, "answer") if then else "answer"
            self._write_down(number, request, answer, way, [f"{fault.do} {fault.when}" for fault in fired])
            # The request has had its effect: a queue that fails is the next tick's to ask again.
            with suppress(Exception):
                self._outbox.send()
            late = sum(fault.seconds for fault in fired if fault.do == "delay")
            return Delivery(answer, way, late)

    def _change_the_world(self, request: Request, faults: list[DispatcherFault]) -> None:
        task_id = peek(request).get("task_id")
        for fault in faults:
            if fault.do == "take-lease" and task_id in self._tasks:
                self.take_lease(str(task_id))
            elif fault.do == "cancel" and task_id in self._tasks:
                self.cancel(str(task_id))
            elif fault.do == "rotate-token":
                self.rotate_token()
            elif fault.do == "jump":
                self.clock.advance(fault.seconds)
                self._pass_time()

    def _effect(self, request: Request, number: int) -> Answer:
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
        except RequestRejected as refused:
            if refused.clause is not None:
                self.violations.append(Violation(refused.clause, self._tokens.scrub_text(refused.reason), number))
            return self._answer(refused.status, {"error": refused.reason})

    def _check_token(self, request: Request, fields: Mapping[str, Any]) -> None:
        """Refuse a request without the right token: 401 for the worker's, 403 for another task's or attempt's."""
        kind = str(request.kind)
        given = request.headers.get(TOKEN_HEADERS[kind], "")
        if kind == CLAIM:
            # Headers may hold bytes that are no text.
            if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.worker_token.encode()):
                # A token of ours that was rotated away is no fault of the worker's.
                rotated = self._tokens.was_workers(given)
                raise RequestRejected(401, "the worker token is not valid", clause=None if rotated else CLAUSES[kind])
            return
        owner = self._owners.get(given)
        if owner is None:
            raise RequestRejected(401, "the capability token is not valid", clause=CLAUSES[kind])
        if owner != (fields["task_id"], fields["attempt"]):
            raise RequestRejected(403, "the capability token is another task's or attempt's", clause=CLAUSES[kind])
        if owner in self._told:
            # After an answer that ends the lease nothing more is asked.
            told = self._told[owner]
            clause = "LSE-3" if told == HTTPStatus.CONFLICT else "LSE-5"
            raise RequestRejected(told, f"the attempt was told {told} before", clause=clause)

    def _check_secrets(self, fields: Mapping[str, Any]) -> None:
        """Refuse a body with a token in it that is not a lease's: what a body holds is kept and read by people."""
        if (label := self._tokens.leaked(fields)) is not None:
            raise RequestRejected(400, f"the body holds the {label}", clause="SEC-1")

    def _claim(self, fields: Mapping[str, Any]) -> Answer:
        task = self._tasks.get(fields["task_id"])
        reason = "NotFound" if task is None else task.why_not
        if task is None or reason is not None:
            if self.form == "lite":
                return self._answer(409, {"error": reason})
            return self._answer(200, {"status": "NotClaimed", "reason": reason})
        task.status = TaskStatus.RUNNING
        task.attempt += 1
        owner = f"attempt {task.attempt} of {task.task_id}"
        task.lease_token, task.capability_token = self._tokens.lease(owner), self._tokens.capability(owner)
        self._owners[task.capability_token] = (task.task_id, task.attempt)
        held = {
            "attempt": task.attempt,
            "lease_token": task.lease_token,
            "lease_expires_at": self._renew(task),
            "capability_token": task.capability_token,
        }
        if self.form == "lite":
            return self._answer(200, {"task_id": task.task_id, **held, "work_payload": task.payload})
        inner = {"task_id": task.task_id, "attempt": task.attempt, "operator": "cryo_ingest", "config": task.payload}
        return self._answer(200, {"status": "Claimed", **held, "task": inner})

    def _heartbeat(self, fields: Mapping[str, Any]) -> Answer:
        task = self._fenced(fields)
        return self._answer(200, {"lease_expires_at": self._renew(task)})

    def _complete(self, fields: Mapping[str, Any]) -> Answer:
        task = self._tasks[fields["task_id"]]
        written = json.dumps(fields, sort_keys=True)
        if task.completion.get(fields["attempt"]) == written:
            return self._answer(200, {})  # its answer was lost, and the same is asked again
        if fields["attempt"] in task.completion:
            raise RequestRejected(409, "the attempt was reported before, otherwise", clause="OUT-1")
        task = self._fenced(fields)
        check_completion(fields, task.payload, self.bucket)
        published = fields["datasets_published"][0] if fields["datasets_published"] else None
        task.completion[task.attempt] = written
        task.reports.append(Report(task.attempt, fields["outcome"], fields["error_message"], published))
        if published is not None:
            task.status = TaskStatus.COMPLETED
            self.registered.setdefault(dataset_version(task.payload), []).append(published)
        elif fields["outcome"] == "fatal_error":
            task.status = TaskStatus.FAILED
        else:
            self._again(task, wait_seconds=self._backoff_seconds * 2 ** (task.attempt - 1))
        return self._answer(200, {})

    def _fenced(self, fields: Mapping[str, Any]) -> TaskState:
        """Return the task of a request that holds its lease; who has lost it is told so, once without blame."""
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

    # What is written down.

    def _write_down(self, number: int, request: Request, answer: Answer, way: Then, faults: list[str]) -> None:
        owner = self._owners.get(request.headers.get(TOKEN_HEADERS[HEARTBEAT], "")) if request.kind != CLAIM else None
        if owner is not None and way == "answer" and answer.status in ENDS_THE_LEASE:
            self._told.setdefault(owner, answer.status)
        fields = peek(request)
        attempt = fields.get("attempt", answer.body.get("attempt"))
        self.journal.append(
            Exchange(
                number=number,
                at=answer.date,
                kind=request.kind,
                task_id=fields.get("task_id") if isinstance(fields.get("task_id"), str) else None,
                attempt=attempt if isinstance(attempt, int) else None,
                request=self._tokens.scrub(fields),
                status=answer.status if way == "answer" else None,
                answer=self._tokens.scrub(answer.body),
                fault=", ".join(faults) or None,
            )
        )
