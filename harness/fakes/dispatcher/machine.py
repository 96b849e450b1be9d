"""The state machine: tasks, leases, fencing, registration; no transport, and no time but the clock's.

Every request goes through `handle`, whoever carries it. What time brings about (a lease that ends, a backoff that is
over) happens in `tick`, which `handle` calls first and whoever drives the clock calls when `next_due` has come.
"""

from __future__ import annotations

import hmac
import json
import random
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal, Protocol

from harness.fakes.dispatcher import publication
from harness.fakes.dispatcher.clock import HarnessClock, SystemClock
from harness.fakes.dispatcher.completion import check_completion
from harness.fakes.dispatcher.faults import DispatcherFault, Script
from harness.fakes.dispatcher.state import Report, Status, TaskState
from harness.fakes.dispatcher.wire import (
    CLAIM,
    CLAUSES,
    HEARTBEAT,
    TOKEN_HEADERS,
    Answer,
    Exchange,
    Refused,
    Request,
    Violation,
    read,
)

Form = Literal["documented", "lite"]
Then = Literal["answer", "hang", "reset"]


class Wakeups(Protocol):
    """Where wake-ups go: a queue."""

    def send(self, task_id: str) -> None:
        """Enqueue `{"task_id": …}`."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the transport is to do with an answer: give it, or let the request hang or break."""

    answer: Answer
    then: Then = "answer"


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
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - so that a run repeats
        self._queue, self._wakeups = queue, wakeups
        self.clock: HarnessClock = clock or SystemClock()
        self.form, self.lease_seconds, self.bucket = form, lease_seconds, bucket
        self._max_attempts, self._backoff_seconds = max_attempts, backoff_seconds
        self._script = Script(list(faults))
        self._lock = threading.RLock()
        self._tasks: dict[str, TaskState] = {}
        self._labels: dict[str, str] = {}
        self._listeners: list[Callable[[Request], None]] = []
        self.registered: dict[str, list[Mapping[str, Any]]] = {}
        self.violations: list[Violation] = []
        self.journal: list[Exchange] = []
        self.worker_token = self._secret("worker token", worker_token)

    # What a test or a scenario does to it.

    def add_task(self, payload: Mapping[str, Any], task_id: str | None = None) -> str:
        """Enter a task with any payload, valid or not, send its wake-up, and return its id."""
        with self._lock:
            chosen = task_id or str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            self._tasks[chosen] = TaskState(chosen, payload)
            self._wake(chosen)
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

    def take_lease(self, task_id: str) -> None:
        """End a running task's lease now, as if its time had come."""
        with self._lock:
            task = self._tasks[task_id]
            if task.status is Status.RUNNING:
                task.expires_at = self.clock.time()
                self.tick()

    def cancel(self, task_id: str) -> None:
        """Cancel a task, running or not."""
        with self._lock:
            if not self._tasks[task_id].ended:
                self._tasks[task_id].status = Status.CANCELED

    def rotate_token(self) -> str:
        """Replace the worker token; the old one is refused from now on."""
        with self._lock:
            self.worker_token = self._secret("worker token", None)
            return self.worker_token

    def wake(self, task_id: str) -> None:
        """Send one more wake-up, as an at-least-once queue would."""
        with self._lock:
            self._wake(task_id)

    def add_faults(self, *faults: DispatcherFault) -> None:
        """Add to the script; the counts of these begin now."""
        with self._lock:
            self._script.extend(list(faults))

    @property
    def silent_faults(self) -> list[DispatcherFault]:
        """The faults that have not struck: a scenario that waits for one of these has not shown anything."""
        return self._script.silent

    def on_request(self, listener: Callable[[Request], None]) -> None:
        """Have a function called with every request before it has any effect."""
        self._listeners.append(listener)

    # What time does.

    def next_due(self) -> float | None:
        """Return the earliest time at which `tick` has something to do."""
        with self._lock:
            times = [task.expires_at for task in self._tasks.values() if task.status is Status.RUNNING]
            times += [task.due_at for task in self._tasks.values() if task.status is Status.WAITING]
            return min(times, default=None)

    def tick(self) -> None:
        """End the leases and the backoffs whose time has come, each with a new wake-up."""
        with self._lock:
            now = self.clock.time()
            for task in self._tasks.values():
                if task.status is Status.RUNNING and task.expires_at <= now:
                    task.expired_leases += 1
                    self._again(task, wait_seconds=0.0)
                if task.status is Status.WAITING and task.due_at <= now:
                    task.status = Status.QUEUED
                    self._wake(task.task_id)

    def _again(self, task: TaskState, *, wait_seconds: float) -> None:
        if task.attempt >= self._max_attempts:
            task.status = Status.FAILED
            return
        task.status = Status.WAITING
        task.due_at = self.clock.time() + wait_seconds

    def _wake(self, task_id: str) -> None:
        for _ in range(self._wakeups if self._queue else 0):
            assert self._queue is not None  # noqa: S101 - the range is empty otherwise
            self._queue.send(task_id)

    # What a worker asks.

    def handle(self, request: Request) -> Delivery:
        """Take one request, write it down with its answer, and say what the transport is to do."""
        for listener in self._listeners:
            listener(request)
        with self._lock:
            self.tick()
            struck = self._script.strike(request.kind)
            number = len(self.journal) + 1
            before = [fault for fault in struck if fault.when == "before"]
            then = next((fault for fault in struck if fault.action in {"status", "hang", "reset"}), None)
            self._change_the_world(request, before)
            if then is not None and then.when == "before":
                answer = self._answer(then.status, {"error": "by script"})
            else:
                answer = self._effect(request, number)
                self._change_the_world(request, [fault for fault in struck if fault.when == "after"])
                if any(fault.action == "unknown-fields" for fault in struck) and answer.status == HTTPStatus.OK:
                    answer = Answer(200, {**answer.body, "x_unknown": {"nested": [1]}, "note": None}, answer.date)
                if then is not None and then.action == "status":
                    answer = self._answer(then.status, {"error": "by script"})
            way: Then = (
                "hang" if then and then.action == "hang" else "reset" if then and then.action == "reset" else "answer"
            )
            self._write_down(number, request, answer, way, [f"{fault.action} {fault.when}" for fault in struck])
            return Delivery(answer, way)

    def _change_the_world(self, request: Request, faults: list[DispatcherFault]) -> None:
        task_id = _peek(request).get("task_id")
        for fault in faults:
            if fault.action == "take-lease" and task_id in self._tasks:
                self.take_lease(str(task_id))
            elif fault.action == "cancel" and task_id in self._tasks:
                self.cancel(str(task_id))
            elif fault.action == "rotate-token":
                self.rotate_token()
            elif fault.action == "jump":
                self.clock.advance(fault.seconds)
                self.tick()

    def _effect(self, request: Request, number: int) -> Answer:
        try:
            fields = read(request)
            kind = request.kind
            self._check_token(request, fields)
            if kind == CLAIM:
                return self._claim(fields)
            if kind == HEARTBEAT:
                return self._heartbeat(fields)
            return self._complete(fields)
        except Refused as refused:
            if refused.clause is not None:
                self.violations.append(Violation(refused.clause, refused.reason, number))
            return self._answer(refused.status, {"error": refused.reason})

    def _check_token(self, request: Request, fields: Mapping[str, Any]) -> None:
        """Refuse a request without the right token: 401 for the worker's, 403 for another task's or attempt's."""
        kind = str(request.kind)
        given = request.headers.get(TOKEN_HEADERS[kind], "")
        known = self._labels.get(given)
        if kind == CLAIM:
            if not hmac.compare_digest(given.encode(), self.worker_token.encode()):
                # A token of ours that was rotated away is no fault of the worker's.
                raise Refused(401, "the worker token is not valid", clause=None if known else CLAUSES[kind])
            return
        if known is None:
            raise Refused(401, "the capability token is not valid", clause=CLAUSES[kind])
        task = self._tasks.get(fields["task_id"])
        if task is None or task.attempt_of_capability.get(given) != fields["attempt"]:
            raise Refused(403, "the capability token is another task's or attempt's", clause=CLAUSES[kind])

    def _claim(self, fields: Mapping[str, Any]) -> Answer:
        task = self._tasks.get(fields["task_id"])
        reason = _why_not(task)
        if task is None or reason is not None:
            if self.form == "lite":
                return self._answer(409, {"error": reason})
            return self._answer(200, {"status": "NotClaimed", "reason": reason})
        task.status = Status.RUNNING
        task.attempt += 1
        task.lease_token = self._secret(f"lease token of attempt {task.attempt} of {task.task_id}", None)
        task.capability_token = self._secret(f"capability token of attempt {task.attempt} of {task.task_id}", None)
        task.attempt_of_capability[task.capability_token] = task.attempt
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
        if task.completion == fields:
            return self._answer(200, {})  # its answer was lost, and the same is asked again
        task = self._fenced(fields)
        check_completion(fields, task.payload, self.bucket)
        published = fields["datasets_published"][0] if fields["datasets_published"] else None
        task.completion = fields
        task.reports.append(Report(task.attempt, fields["outcome"], fields["error_message"], published))
        if published is not None:
            task.status = Status.COMPLETED
            self.registered.setdefault(publication.dataset_version(task.payload), []).append(published)
        elif fields["outcome"] == "fatal_error":
            task.status = Status.FAILED
        else:
            self._again(task, wait_seconds=self._backoff_seconds * 2 ** (task.attempt - 1))
        return self._answer(200, {})

    def _fenced(self, fields: Mapping[str, Any]) -> TaskState:
        """Return the task of a request that holds its lease; a worker that has lost it is told so, once."""
        task = self._tasks[fields["task_id"]]
        current = (task.attempt, task.lease_token) == (fields["attempt"], fields["lease_token"])
        if task.status is Status.RUNNING and current:
            return task
        asked = (fields["task_id"], fields["attempt"])
        again = any(
            (past.task_id, past.attempt) == asked and past.status == HTTPStatus.CONFLICT and past.kind != CLAIM
            for past in self.journal
        )
        # LSE-3: after a 409 that was read nothing more is asked. One whose answer was lost has no status here.
        raise Refused(409, "the attempt or its lease is stale", clause="LSE-3" if again else None)

    def _renew(self, task: TaskState) -> str:
        task.expires_at = self.clock.time() + self.lease_seconds
        return datetime.fromtimestamp(task.expires_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _answer(self, status: int, body: Mapping[str, Any]) -> Answer:
        return Answer(status, body, self.clock.time())

    # What is written down.

    def _secret(self, label: str, given: str | None) -> str:
        secret = given or f"{self._random.getrandbits(256):064x}"
        self._labels[secret] = f"<{label}>"
        return secret

    def _write_down(self, number: int, request: Request, answer: Answer, way: Then, faults: list[str]) -> None:
        fields = _peek(request)
        attempt = fields.get("attempt", answer.body.get("attempt"))
        self.journal.append(
            Exchange(
                number=number,
                at=answer.date,
                kind=request.kind,
                task_id=fields.get("task_id") if isinstance(fields.get("task_id"), str) else None,
                attempt=attempt if isinstance(attempt, int) else None,
                request=self.scrub(fields),
                status=answer.status if way == "answer" else None,
                answer=self.scrub(answer.body),
                fault=", ".join(faults) or None,
            )
        )

    def scrub(self, value: Any) -> Any:
        """Return a JSON value with every token that it holds replaced by a label."""
        if isinstance(value, Mapping):
            return {name: self.scrub(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrub(inner) for inner in value]
        return self._labels.get(value, value) if isinstance(value, str) else value


def _why_not(task: TaskState | None) -> str | None:
    """Return why a task can't be claimed, in the contract's words, or None where it can."""
    if task is None:
        return "NotFound"
    if task.status is Status.QUEUED:
        return None
    if task.status in {Status.RUNNING, Status.WAITING}:
        return "AlreadyRunning"
    return "Canceled" if task.status is Status.CANCELED else "Completed"


def _peek(request: Request) -> Mapping[str, Any]:
    """Return what can be read of a body, however bad it is."""
    try:
        fields = json.loads(request.body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
