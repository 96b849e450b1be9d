"""The service: receives wake-ups from SQS, claims tasks, renews leases, runs and reports attempts.

Each consumer has its own thread and runs one attempt at a time.
"""

from __future__ import annotations

import json
import signal
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Self

from harness.reference import staging
from harness.reference.attempt import Attempt, crashed
from harness.reference.bugs import has_bug
from harness.reference.cancellation import Cancellation
from harness.reference.dispatcher import (
    Claim,
    DispatcherClient,
    DispatcherUnavailable,
    LeaseLostResponse,
    MalformedRequest,
    TaskNotClaimed,
    report,
)
from harness.reference.errors import AttemptError, BadConfiguration, LeaseLost, ShuttingDown
from harness.reference.payload import UUID
from harness.reference.s3 import open_store, s3_client

if TYPE_CHECKING:
    from harness.reference.log import Log
    from harness.reference.settings import Settings

REQUIRED_VARIABLES = ("DISPATCHER_URL", "TRACE_WORKER_TOKEN", "TASK_WAKEUP_QUEUE", "S3_BUCKET")
POLL_SECONDS = 2
"""How long one request to the queue waits for a message."""
SWEEP_SECONDS = 3600.0
"""The time between two cleanups of the staging root."""
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
REQUEST_SECONDS = 10.0
"""The time limit of a request to the dispatcher."""


class Service:
    """One worker process."""

    def __init__(self, settings: Settings, log: Log) -> None:
        missing = [name for name in REQUIRED_VARIABLES if not settings.environment.get(name)]
        if missing:
            raise BadConfiguration(f"a worker needs {', '.join(missing)} to be set")
        if not settings.environment["DISPATCHER_URL"].startswith(("http://", "https://")):
            raise BadConfiguration("DISPATCHER_URL must be an http:// or https:// URL")
        self._settings, self._log = settings, log
        self._ending = threading.Event()
        self._cancellations: set[Cancellation] = set()
        self._queue_url = settings.environment["TASK_WAKEUP_QUEUE"]
        self._dispatcher = DispatcherClient(settings, f"reference-{uuid.uuid4().hex[:12]}")

    def run(self) -> bool:
        """Serve until SIGTERM or SIGINT, then finish or hand back attempts (LSE-4); return whether all ended in time.

        A second signal ends the process at once.
        """
        if not has_bug("dies-by-sigterm"):
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._end)
        self._sweep()
        threads = [threading.Thread(target=self._consume) for _ in range(self._settings.concurrency)]
        for thread in threads:
            thread.start()
        self._log.write("service.started")
        next_sweep = time.monotonic() + SWEEP_SECONDS
        while not self._ending.wait(0.2):
            if time.monotonic() >= next_sweep:
                self._sweep()
                next_sweep = time.monotonic() + SWEEP_SECONDS
        grace = self._settings.grace_seconds
        ends_at = time.monotonic() + grace
        hand_back_at = ends_at - min(8.0, grace / 3)
        for thread in threads:
            thread.join(max(0.0, hand_back_at - time.monotonic()))
        for cancellation in list(self._cancellations):
            cancellation.stop(ShuttingDown("the worker is shutting down"))
        for thread in threads:
            thread.join(max(0.0, ends_at - time.monotonic()))
        clean = not any(thread.is_alive() for thread in threads)
        self._log.write("service.stopped", clean=clean)
        return clean

    def _end(self, number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._ending.set()

    def _sweep(self) -> None:
        staging.sweep(self._settings.staging_root, self._settings.staging_ttl_hours, self._log)

    def _consume(self) -> None:
        queue = s3_client(self._settings, "sqs", "SQS_ENDPOINT")
        failures = 0
        while not self._ending.is_set():
            try:
                received = queue.receive_message(
                    QueueUrl=self._queue_url, MaxNumberOfMessages=1, WaitTimeSeconds=POLL_SECONDS
                )
                for message in received.get("Messages", ()):
                    self._handle(queue, message)
                failures = 0
            except Exception as error:  # noqa: BLE001 - an error with one wake-up must not stop the service
                failures += 1
                self._log.write("wakeup.failed", reason=f"{type(error).__name__}: {error}")
                self._ending.wait(min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**failures))

    def _handle(self, queue: Any, message: dict[str, Any]) -> None:
        """Process one wake-up and delete it, unless the dispatcher rejected the claim or was unavailable (LSE-5).

        Raises:
            DispatcherUnavailable: the task could not be claimed now.
        """
        task_id = _task_id(message["Body"])
        if task_id is not None:
            try:
                self._attempt(self._dispatcher.claim(task_id))
            except TaskNotClaimed as error:
                self._log.write("claim.not_claimed", task_id=task_id, reason=str(error))
                if has_bug("unclaimable-wakeups-stay"):
                    return
            except DispatcherUnavailable:
                if not has_bug("refused-claims-are-acknowledged"):
                    raise
        queue.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])

    def _attempt(self, claim: Claim) -> None:
        self._log.hide(claim.lease_token, claim.capability_token)
        self._log.write("attempt.claimed", task_id=claim.task_id, attempt=claim.attempt)
        cancellation = Cancellation()
        cancellation.lease_end = claim.lease_end
        self._cancellations.add(cancellation)
        try:
            with Lease(self._dispatcher, claim, cancellation, self._log) as lease:
                store = open_store(None, self._settings, cancellation)
                with Attempt(
                    claim.payload,
                    claim.task_id,
                    claim.attempt,
                    settings=self._settings,
                    store=store,
                    cancellation=cancellation,
                    log=self._log,
                ) as attempt:
                    self._report(lease, *self._outcome(attempt))
                    attempt.write_late_manifest()  # only the bugs of PUB-4 write it here
        except LeaseLost as error:
            self._log.write("attempt.lease_lost", task_id=claim.task_id, attempt=claim.attempt, reason=str(error))
        finally:
            self._cancellations.discard(cancellation)

    def _outcome(self, attempt: Attempt) -> tuple[dict[str, Any] | None, AttemptError | None]:
        try:
            return attempt.run(), None
        except AttemptError as error:
            return None, error
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of this worker is reported like any other failure
            self._log.write("attempt.crashed", reason=f"{type(error).__name__}: {error}")
            return None, crashed(error)

    def _report(self, lease: Lease, publication: dict[str, Any] | None, error: AttemptError | None) -> None:
        if error is None:
            lease.complete(report(publication, "success", None))
            if has_bug("completes-twice"):
                lease.complete(report(publication, "success", None), is_repeat=True)
            self._log.write("attempt.published")
            return
        message = self._log.clean(str(error))
        self._log.write("attempt.failed", outcome=error.outcome, message=message)
        if has_bug("failures-are-silent"):
            return
        if has_bug("failure-publishes"):
            publication = {"error": message}
        lease.complete(report(publication, error.outcome, message))


class Lease:
    """Renews the lease of a claim in a separate thread, and sends the completion; never both at the same time."""

    def __init__(self, dispatcher: DispatcherClient, claim: Claim, cancellation: Cancellation, log: Log) -> None:
        self._dispatcher, self._claim, self._cancellation, self._log = dispatcher, claim, cancellation, log
        self._request_lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        interval = self._claim.lease_seconds / 3
        if has_bug("never-renews"):
            return
        while not self._ended.wait(interval):
            with self._request_lock:
                if self._ended.is_set() or self._cancellation.lease_is_lost():
                    return
                interval = self._heartbeat()

    def _heartbeat(self) -> float:
        """Send a heartbeat and return the time until the next one in seconds."""
        try:
            self._cancellation.lease_end = self._dispatcher.heartbeat(self._claim, self._timeout_seconds())
        except LeaseLostResponse as error:
            self._cancellation.stop(LeaseLost(str(error)))
            if not has_bug("works-past-the-lease"):
                self._ended.set()
        except (MalformedRequest, DispatcherUnavailable) as error:
            self._log.write("lease.not_renewed", task_id=self._claim.task_id, reason=str(error))
            return min(1.0, self._claim.lease_seconds / 10)
        return self._claim.lease_seconds / 3

    def _timeout_seconds(self) -> float:
        return min(REQUEST_SECONDS, self._cancellation.lease_end - time.monotonic())

    def complete(self, body: dict[str, Any], *, is_repeat: bool = False) -> None:
        """Send the completion, and repeat it until there is a response or the lease ends (PUB-5).

        `is_repeat` says that an earlier call already sent it, which only a bug does.

        Raises:
            LeaseLost: the lease is lost, so the attempt must not be reported any more.
        """
        pause = 0.2
        while True:
            with self._request_lock:
                if self._cancellation.lease_is_lost():
                    self._cancellation.check()
                try:
                    self._dispatcher.complete(self._claim, body, self._timeout_seconds())
                except LeaseLostResponse as error:
                    if not has_bug("retries-a-stale-completion") or is_repeat:
                        self._ended.set()
                        raise LeaseLost(str(error)) from None
                    is_repeat = True
                except MalformedRequest as error:
                    self._ended.set()
                    self._log.write("report.refused", task_id=self._claim.task_id, reason=str(error))
                    return
                except DispatcherUnavailable as error:
                    self._log.write("report.unanswered", task_id=self._claim.task_id, reason=str(error))
                else:
                    self._ended.set()
                    return
            time.sleep(min(pause, max(0.0, self._cancellation.lease_end - time.monotonic())))
            pause = min(5.0, pause * 2)


def _task_id(body: str) -> str | None:
    """Return the task id of a wake-up, or None if the message is not a wake-up."""
    try:
        task_id = json.loads(body)["task_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return task_id.lower() if isinstance(task_id, str) and UUID.fullmatch(task_id) else None
