"""The root of the tree and its two branches."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeVar

E = TypeVar("E", bound=BaseException)

OutcomeName = Literal["success", "retryable_error", "fatal_error"]


class IngestError(Exception):
    """An attempt failed; the message says what happened, to what, and what to do next."""

    outcome: ClassVar[OutcomeName]
    exit_code: ClassVar[int]
    hits_every_attempt: ClassVar[bool] = False
    """Whether every attempt on this machine fails the same way; a service is not ready meanwhile."""


class FatalError(IngestError):
    """Another attempt would fail the same way: something has to be changed first."""

    outcome = "fatal_error"
    exit_code = 69


class RetryableError(IngestError):
    """Another attempt, later or elsewhere, can succeed without a change."""

    outcome = "retryable_error"
    exit_code = 75


def first_exception_of(group: BaseExceptionGroup[BaseException], kind: type[E]) -> E | None:
    """Return the first exception of a kind in a group, at any depth."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            if (found := first_exception_of(error, kind)) is not None:
                return found
        elif isinstance(error, kind):
            return error
    return None
