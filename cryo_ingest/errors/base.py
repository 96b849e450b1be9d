"""The root of the tree and its two branches."""

from __future__ import annotations

from typing import ClassVar, Literal

OutcomeName = Literal["success", "retryable_error", "fatal_error"]


class IngestError(Exception):
    """The root: an attempt that failed, with a message that says what happened, to what, and what to do next."""

    outcome: ClassVar[OutcomeName]
    exit_code: ClassVar[int]
    hits_every_attempt: ClassVar[bool] = False
    """Whether the next attempt on this machine would fail the same way, so that a service is not ready meanwhile."""


class FatalError(IngestError):
    """The same attempt would fail the same way again: something has to be changed first."""

    outcome = "fatal_error"
    exit_code = 69


class RetryableError(IngestError):
    """Another attempt, later or elsewhere, can succeed with nothing changed."""

    outcome = "retryable_error"
    exit_code = 75
