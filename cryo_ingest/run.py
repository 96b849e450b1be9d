"""`cryo-ingest run`: runs one attempt without a dispatcher and returns the process's exit code."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import structlog

from cryo_ingest import logs
from cryo_ingest.attempt import Failure, Success, log_fields, run_attempt
from cryo_ingest.datasets import find_dataset
from cryo_ingest.errors import BadPayload, IngestError, MachineFailed, RetryableError
from cryo_ingest.logs import log
from cryo_ingest.model import parse_task
from cryo_ingest.publish.stores import check_writable
from cryo_ingest.redact import Redactor
from cryo_ingest.run_progress import PROGRESS_SECONDS, AttemptProgress
from cryo_ingest.screen import Screen, refresh_while
from cryo_ingest.signals import on_first_signal
from cryo_ingest.wiring import make_ports

if TYPE_CHECKING:
    import signal

    from cryo_ingest.attempt import Outcome
    from cryo_ingest.model import Assignment
    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.screen import Show
    from cryo_ingest.settings import Settings
    from cryo_ingest.wiring import WorkerPorts


def run(assignment: Assignment, *, settings: Settings, store: ObjectStore, show: Show) -> int:
    """Run one attempt, print its publication on standard output, and return the process's exit code."""
    redactor = Redactor(settings.secrets())
    structlog.contextvars.bind_contextvars(**log_fields(assignment))
    if not show.is_live(has_log_format=settings.log_format is not None):
        logs.configure(settings.log_format, redactor, quiet=show.quiet)
        ports = make_ports(settings, store, redactor=redactor)
        return asyncio.run(_run_with_signals(assignment, ports, settings))
    return _run_on_screen(assignment, settings, store, redactor)


def _run_on_screen(assignment: Assignment, settings: Settings, store: ObjectStore, redactor: Redactor) -> int:
    """Run one attempt with its progress on the screen and its log in a file."""
    log_file = logs.default_log_file("run")
    with logs.open_log_file(log_file) as file:
        progress = AttemptProgress(Screen())
        logs.configure(settings.log_format, redactor, file=file, listener=progress.on_event)
        ports = make_ports(settings, store, redactor=redactor, progress_seconds=PROGRESS_SECONDS)
        progress.totals = ports.chain.meter.totals
        code = asyncio.run(_run_with_signals(assignment, ports, settings, progress))
        progress.print_summary(log_file)
        return code


async def _run_with_signals(
    assignment: Assignment, ports: WorkerPorts, settings: Settings, progress: AttemptProgress | None = None
) -> int:
    """Run the attempt; the first SIGTERM or SIGINT cancels it, the second ends the process at once."""
    unusable = problem_of_store(assignment, ports.store)
    if unusable is not None:
        return report(Failure(unusable))
    await ports.staging.sweep()
    attempt = asyncio.ensure_future(run_attempt(assignment, ports=ports, settings=settings))
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        attempt.cancel()

    on_first_signal(stop)
    try:
        if progress is None:
            return report(await attempt)
        with progress.screen:
            outcome = await refresh_while(attempt, progress.tick)
        return report(outcome)
    except asyncio.CancelledError:
        log.warning("attempt.stopped", signal=received[0].name if received else None)
        return 128 + received[0] if received else RetryableError.exit_code
    except Exception:  # noqa: BLE001 - a bug in the worker: the log gets the redacted traceback, and another attempt may succeed
        log.exception("attempt.crashed")
        return RetryableError.exit_code
    finally:
        await ports.staging.discard(assignment.task_id, assignment.attempt)


def problem_of_store(assignment: Assignment, store: ObjectStore) -> IngestError | None:
    """Return why a directory can't be published to; the attempt itself reports a bad payload, which touches nothing."""
    try:
        find_dataset(parse_task(assignment.payload).cryo_dataset_name)
        check_writable(store)
    except IngestError as error:
        return None if isinstance(error, BadPayload) else error
    return None


def report(outcome: Outcome) -> int:
    """Print the publication on standard output or log the error, and return the exit code."""
    match outcome:
        case Success(publication):
            try:
                sys.stdout.write(publication.to_json() + "\n")
                sys.stdout.flush()
            except OSError as error:
                log.error("publication.not_delivered", reason=error.strerror)
                return MachineFailed.exit_code
            return 0
        case Failure(error):
            log.error("attempt.failed", outcome=outcome.outcome, error=type(error).__name__, message=str(error))
            return error.exit_code
