"""The errors of an attempt (OUT-1, OUT-2, OUT-4) and their exit codes (docs/reference.md)."""

from __future__ import annotations

import re

from harness.reference.bugs import has_bug

VARIABLE = re.compile(r"\b(MAX|TRACE)_(?!RPC|CRYO_RPC)[A-Z_]+")
"""A variable of the worker, except those that MOD-4 requires in a message."""


class AttemptError(Exception):
    """The attempt failed and is reported with this outcome."""

    outcome = "retryable_error"
    exit_code = 75

    def __str__(self) -> str:
        """Return the message."""
        message = super().__str__()
        return VARIABLE.sub("a variable", message) if has_bug("messages-name-no-variable") else message


class Retryable(AttemptError):
    """Another attempt may succeed."""


class DeadlineExceeded(Retryable):
    """Cryo did not finish in time (OUT-3)."""


class Fatal(AttemptError):
    """No attempt can succeed until a person changes something."""

    outcome = "fatal_error"
    exit_code = 69


class FailedProof(Retryable):
    """RNG-4: the rows differ from the chain; the message names the blocks and the evidence."""


class Unconfirmed(Retryable):
    """RNG-4: the node does not give enough evidence; the rows may be right or wrong."""


class BadPayload(Fatal):
    """PAY-2: the message names each bad field."""

    exit_code = 65


class BadConfiguration(Fatal):
    """The environment can't be used; the message names each bad variable."""

    exit_code = 78


class ShuttingDown(Retryable):
    """LSE-4: the worker is shutting down, and another one must do the work."""


class LeaseLost(Exception):
    """LSE-3: the lease is lost, and no more requests may be sent for the task. Never reported."""


class Conflict(Exception):
    """The condition of a write was not met (LAY-10): 409, 412, or 404 for `If-Match`."""


class PreconditionFailed(Conflict):
    """The store answered 412: the object exists (`If-None-Match`) or has another ETag (`If-Match`)."""
