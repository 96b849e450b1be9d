"""Errors of Cryo, the nodes, the proof and the local disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryo_ingest.errors.base import FatalError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class CryoNotRunnable(FatalError):
    """The executable that `TRACE_CRYO_BIN` names is missing or can't be executed (MOD-3).

    `reason` is a predicate, such as "does not exist".
    """

    def __init__(self, *, executable: str, reason: str) -> None:
        self.executable = executable
        super().__init__(
            f"can't run Cryo: {executable!r} {reason}. Set TRACE_CRYO_BIN to a Cryo 0.3.2 executable "
            "(`cryo-from-wheel` comes with this package's `cryo` extra)"
        )


class CryoRejectedArguments(FatalError):
    """Cryo ended with exit code 2: it does not accept the command line, so it is not Cryo 0.3.2."""

    def __init__(self, *, block_range: str, tail: Sequence[str]) -> None:
        super().__init__(
            f"Cryo rejected its command line (exit code 2) for blocks {block_range}: is TRACE_CRYO_BIN Cryo 0.3.2?"
            + last_lines(tail)
        )


class CryoWroteNothing(FatalError):
    """Cryo ended with exit code 0 and wrote no Parquet file."""

    def __init__(self, *, block_range: str, tail: Sequence[str]) -> None:
        super().__init__(
            f"Cryo ended with exit code 0 and wrote no Parquet file for blocks {block_range}: real Cryo "
            "always writes a file for each chunk, even an empty one. Check that TRACE_CRYO_BIN is Cryo 0.3.2"
            + last_lines(tail)
        )


class RpcPoolUnresolved(FatalError):
    """No endpoint is configured for the payload's RPC pool (MOD-4)."""

    def __init__(self, *, pool_variable: str, default_variable: str) -> None:
        self.variables = (pool_variable, default_variable)
        super().__init__(
            f"the RPC pool has no endpoint: set {pool_variable}, or {default_variable} for all pools; "
            "Cryo was not started"
        )


class EndpointUnusable(FatalError):
    """A pool's endpoint can't be used at all: it is not an HTTP URL, or it redirects to another host.

    `endpoint_name` is the endpoint's position in the pool, such as "endpoint 1 of 2 in
    TRACE_RPC_POOL_ETH_URL"; `problem` is a predicate, such as
    "redirects to another host".
    """

    def __init__(self, *, endpoint_name: str, problem: str = "is not an http:// or https:// URL with a host") -> None:
        super().__init__(
            f"{endpoint_name} {problem}, so it can't be used: correct the URL in the pool's variable. "
            "Nothing was published"
        )


class WrongChain(FatalError):
    """The endpoint serves another chain than the payload's (RNG-5)."""

    def __init__(self, *, endpoint_name: str, expected: int, actual: int) -> None:
        self.expected, self.actual = expected, actual
        super().__init__(
            f"{endpoint_name} serves chain {actual}, but the task is for chain {expected}: correct the "
            "pool's variable or the payload's rpc_pool. Nothing was published"
        )


class CapExceeded(FatalError):
    """The range's output is larger than a cap allows (CAP-1); nothing was uploaded."""

    def __init__(self, *, variable: str, limit: int, actual: int, block_range: str, file: str | None = None) -> None:
        self.variable, self.limit, self.actual = variable, limit, actual
        where = f" ({file})" if file else ""
        super().__init__(
            f"blocks {block_range} exceed {variable}: {actual} is over the cap of {limit}{where}. Nothing was "
            "uploaded; create tasks with smaller ranges or raise the cap"
        )


class UnexpectedSchema(FatalError):
    """A file's columns are not those of Cryo 0.3.2: another build wrote it."""

    def __init__(self, *, file: str, dataset: str, differences: Sequence[str], executable: str) -> None:
        self.differences = tuple(differences)
        super().__init__(
            f"{file} does not match Cryo 0.3.2's schema of {dataset}: {'; '.join(differences)}. "
            f"It was written by {executable}: point TRACE_CRYO_BIN at Cryo 0.3.2"
        )


class UnsafeStaging(FatalError):
    """A staging path is a symbolic link, is not a directory, or belongs to another user (STG-6).

    `reason` is a predicate, such as "is a symbolic link".
    """

    def __init__(self, *, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} is not safe as a staging directory: it {reason}. Nothing in it was changed; remove it or set "
            "TRACE_CRYO_STAGING_ROOT to a directory that only this user can write"
        )


class CryoFailed(RetryableError):
    """Cryo ended with an error or by a signal, and several restarts did not complete the range."""

    def __init__(
        self, *, block_range: str, ended: str, chunks_done: int, chunks: int, hint: str, tail: Sequence[str]
    ) -> None:
        self.chunks_done, self.chunks = chunks_done, chunks
        super().__init__(
            f"Cryo {ended} with {chunks_done} of {chunks} chunks of blocks {block_range} done, and three runs in a row "
            f"added none{hint and '. ' + hint.removesuffix('.')}" + last_lines(tail)
        )


class DeadlineExceeded(RetryableError):
    """The attempt did not finish within `TRACE_CRYO_DEADLINE_SECONDS`; Cryo's process group was killed (OUT-3).

    `progress` completes the sentence "the attempt was stopped at the deadline of 8 s".
    """

    def __init__(self, *, deadline_seconds: float, progress: str) -> None:
        super().__init__(
            f"the attempt was stopped at the deadline of {deadline_seconds:g} s {progress}. Create tasks with smaller "
            "ranges or raise TRACE_CRYO_DEADLINE_SECONDS"
        )


class EndpointsDisagree(RetryableError):
    """Another endpoint of the pool could serve, but it has another block at the end of the range (RPC-4)."""

    def __init__(self, *, endpoint_name: str, block: int) -> None:
        self.block = block
        super().__init__(
            f"{endpoint_name} has another block {block} than the endpoint that served before: one of "
            "them follows another branch of the chain. Nothing was published; another attempt starts with one of them"
        )


class AnswerRefused(RetryableError):
    """An answer of the node contradicts the question or the block, and asking again did not help (OUT-4).

    `problem` is a clause about the endpoint, such as "it answered with block 8 instead of block 7".
    """

    def __init__(self, *, endpoint_name: str, method: str, problem: str, same: bool) -> None:
        again = "gave the same answer twice" if same else "gave other answers to the same call, which are no better"
        super().__init__(
            f"{endpoint_name} gives no usable answer to {method}: {problem}. The same node {again}. "
            "Nothing was published"
        )


class ProofFailed(RetryableError):
    """A file does not contain the rows of its chunk (RNG-4); `evidence` says which blocks and why."""

    def __init__(self, *, file: str, evidence: str) -> None:
        self.file, self.evidence = file, evidence
        super().__init__(f"{file} failed its proof: {evidence}. Nothing was published")


class RangeNotFinal(RetryableError):
    """The range is not final yet on the endpoint (RNG-5); `reason` names its head or its last final block."""

    def __init__(self, *, endpoint_name: str, last_block: int, reason: str) -> None:
        super().__init__(
            f"{endpoint_name} does not have block {last_block} as final: {reason}. Try again later, or "
            "set TRACE_CRYO_CONFIRMATIONS=N to accept blocks that are N below the head; Cryo was not started"
        )


class NodeUnavailable(RetryableError):
    """An endpoint gave no usable answer, after retries.

    If the attempt's deadline ended the retries (`out_of_time`), the attempt reports `DeadlineExceeded` instead.
    """

    def __init__(self, *, endpoint_name: str, method: str, reason: str, out_of_time: bool = False) -> None:
        self.out_of_time = out_of_time
        self.progress = f"before {endpoint_name} answered {method} ({reason})"
        super().__init__(f"{endpoint_name}: {method} failed: {reason}. Nothing was published")


class DiskFull(RetryableError):
    """The staging disk has no room for the attempt (STG-7)."""

    def __init__(self, *, path: Path, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"the disk under {path} has {free_bytes} bytes free and an attempt needs {needed_bytes}: free some space "
            "or set TRACE_CRYO_STAGING_ROOT to a larger disk. Nothing was uploaded"
        )


class MachineFailed(RetryableError):
    """An operating-system error ended the attempt: no more processes, memory, descriptors or local disk space."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            f"an operating-system error ended the attempt: {reason}. Check disk, memory and limits, then try again"
        )


class StagingLocked(RetryableError):
    """A running attempt, or a Cryo process of a killed worker, has locked the staging directory (STG-5)."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            f"{path} is locked by a running attempt, or by a Cryo process left over from a killed worker: try again "
            "when it has exited"
        )


def last_lines(tail: Sequence[str]) -> str:
    """Return what Cryo printed, already redacted, for the end of a message: its first errors, and its last lines."""
    return f". Cryo's last lines: {' | '.join(tail)}" if tail else ""
