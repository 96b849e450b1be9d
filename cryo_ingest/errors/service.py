"""Errors that end an attempt only in a service."""

from __future__ import annotations

from cryo_ingest.errors.base import RetryableError


class StoppedByShutdown(RetryableError):
    """The worker shut down and handed the attempt back (LSE-4)."""

    def __init__(self, *, grace_seconds: float) -> None:
        super().__init__(
            f"the worker is shutting down and the attempt did not end within the grace period of {grace_seconds:g} s "
            "(TRACE_SHUTDOWN_GRACE_SECONDS): another attempt can continue"
        )


class AttemptCrashed(RetryableError):
    """A bug in the worker ended the attempt; `kind` is the exception's name, its traceback is in the log."""

    def __init__(self, *, kind: str) -> None:
        super().__init__(
            f"a bug in the worker ended the attempt ({kind}): report it with the event attempt.crashed of its log"
        )
