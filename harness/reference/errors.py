"""How an attempt ends when it does not succeed (OUT-1, OUT-2, OUT-4), and the exit code of each (architecture.md)."""

from __future__ import annotations


class AttemptError(Exception):
    """The attempt ends, and is reported with this outcome."""

    outcome = "retryable_error"
    exit_code = 75


class Retryable(AttemptError):
    """Another attempt may succeed."""


class DeadlineExceeded(Retryable):
    """Cryo did not finish in time (OUT-3)."""


class Fatal(AttemptError):
    """No attempt can succeed until a person has changed something."""

    outcome = "fatal_error"
    exit_code = 69


class FailedProof(Retryable):
    """RNG-4: the rows are not the chain's; the message names blocks and evidence."""


class Unconfirmed(Retryable):
    """RNG-4: the node can't show whether the rows are the chain's; that says nothing about the rows."""


class BadPayload(Fatal):
    """PAY-2: the message names each bad field."""

    exit_code = 65


class BadConfiguration(Fatal):
    """The environment can't be used; the message names each bad variable."""

    exit_code = 78


class HandedBack(Retryable):
    """LSE-4: the worker is told to end, and another one is to do the work."""


class LeaseLost(Exception):
    """LSE-3: the task is no longer ours, and nothing more may be asked in its name. Never reported."""


class Conflict(Exception):
    """A conditional write met something else than its condition (LAY-10): 409, 412, or 404 to `If-Match`."""


class PreconditionFailed(Conflict):
    """The store answered 412: to `If-None-Match` something is there, to `If-Match` its ETag is another."""
