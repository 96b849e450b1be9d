"""A service that ends an attempt."""

from __future__ import annotations

from cryo_ingest.errors.base import RetryableError


class AttemptStopped(RetryableError):
    """The worker was told to end and handed the attempt back (LSE-4)."""

    def __init__(self, *, grace_seconds: float) -> None:
        super().__init__(
            f"the worker is shutting down and the attempt would not have ended within its {grace_seconds:g} s of "
            "grace (TRACE_SHUTDOWN_GRACE_SECONDS): another attempt goes on"
        )


class AttemptCrashed(RetryableError):
    """A bug of ours ended the attempt; `kind` is the exception's name, all else of it is in the worker's log."""

    def __init__(self, *, kind: str) -> None:
        super().__init__(
            f"a bug of the worker ended the attempt ({kind}): report it with the event attempt.crashed of its log"
        )
