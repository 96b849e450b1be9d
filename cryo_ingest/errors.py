"""Every way an attempt can end badly, each exactly one of retryable or fatal.

    IngestError
    ├── FatalError                          outcome fatal_error
    │   ├── BadPayload                      exit 65
    │   ├── ConfigurationError              exit 78, at start-up only
    │   ├── CryoNotRunnable                 exit 69, as are all below
    │   ├── CryoRejectedArguments
    │   ├── CryoWroteNothing
    │   ├── RpcPoolUnresolved
    │   ├── EndpointUnusable
    │   ├── WrongChain
    │   ├── CapExceeded
    │   ├── SchemaDrift
    │   ├── UnsafeStaging
    │   ├── ModeMismatch
    │   ├── DatasetMismatch
    │   ├── StoreDenied
    │   ├── NoSuchBucket
    │   ├── StoreUnfit
    │   └── UnmanageableKey
    └── RetryableError                      outcome retryable_error, exit 75
        ├── CryoFailed
        ├── DeadlineExceeded
        ├── ProofFailed
        ├── StaleHead
        ├── NodeUnavailable
        ├── DiskFull
        ├── MachineFailed
        ├── StagingHeld
        ├── StoreUnavailable
        ├── StoredBytesDiffer
        ├── ClockSkewed
        ├── CredentialsExpired
        ├── PrefixContended
        ├── AttemptStopped                  in a service only, as is the next
        └── AttemptCrashed

Retry decisions read `outcome` and nothing else; the process's exit code is the leaf's `exit_code` (sysexits.h). The
sources of the split are clauses OUT-2 and OUT-4. No message holds a URL, a key or the value of a payload field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OutcomeName = Literal["success", "retryable_error", "fatal_error"]


class IngestError(Exception):
    """The root: an attempt that failed, with a message that says what happened, to what, and what to do next."""

    outcome: ClassVar[OutcomeName]
    exit_code: ClassVar[int]
    hits_every_attempt: ClassVar[bool] = False
    """Whether the next attempt on this machine would fail the same way, so that a service is not ready meanwhile."""


class FatalError(IngestError):
    """The same attempt would fail the same way again: somebody has to change something first."""

    outcome = "fatal_error"
    exit_code = 69


class RetryableError(IngestError):
    """Another attempt, later or elsewhere, can succeed with nothing changed."""

    outcome = "retryable_error"
    exit_code = 75


class BadPayload(FatalError):
    """The task payload breaks PAY-1, PAY-4 or PAY-5; `problems` maps each bad field to what is wrong with it."""

    exit_code = 65

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        listed = "; ".join(f"{field}: {problem}" for field, problem in self.problems.items())
        super().__init__(
            f"bad task payload: {listed}. Nothing was run or written; correct the payload and submit it again"
        )


class ConfigurationError(FatalError):
    """The environment can't be used; `problems` maps each bad variable to what is wrong with it."""

    exit_code = 78

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        listed = "; ".join(f"{variable}: {problem}" for variable, problem in self.problems.items())
        super().__init__(f"bad configuration: {listed}")


class CryoNotRunnable(FatalError):
    """The executable that `TRACE_CRYO_BIN` names is missing or can't be executed (MOD-3)."""

    def __init__(self, *, executable: str, reason: str) -> None:
        self.executable = executable
        super().__init__(
            f"can't run Cryo: {executable!r} {reason}. Set TRACE_CRYO_BIN to a Cryo 0.3.2 executable "
            "(`cryo-from-wheel` comes with this package's `cryo` extra)"
        )


class CryoRejectedArguments(FatalError):
    """Cryo ended with exit code 2: it does not know the command line, so it is not the pinned Cryo."""

    def __init__(self, *, block_range: str, tail: Sequence[str]) -> None:
        super().__init__(
            f"Cryo refused its command line (exit code 2) for blocks {block_range}: is TRACE_CRYO_BIN Cryo 0.3.2?"
            + last_lines(tail)
        )


class CryoWroteNothing(FatalError):
    """Cryo ended with exit code 0 and left no Parquet file at all."""

    def __init__(self, *, block_range: str, tail: Sequence[str]) -> None:
        super().__init__(
            f"Cryo ended with exit code 0 and wrote no Parquet file for blocks {block_range}: the real one always "
            "writes a file per chunk, even an empty one. Check that TRACE_CRYO_BIN is Cryo 0.3.2" + last_lines(tail)
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
    """A pool's endpoint can't be asked at all: it is no HTTP URL, or it redirects to another host."""

    def __init__(self, *, endpoint: str, problem: str = "is not an http:// or https:// URL with a host") -> None:
        super().__init__(
            f"{endpoint} of the RPC pool {problem}, so it can't be asked: correct the URL in the pool's variable. "
            "Nothing was published"
        )


class WrongChain(FatalError):
    """The endpoint serves another chain than the payload's (RNG-5)."""

    def __init__(self, *, endpoint: str, wanted: int, seen: int) -> None:
        self.wanted, self.seen = wanted, seen
        super().__init__(
            f"{endpoint} of the RPC pool serves chain {seen}, but the task is for chain {wanted}: correct the pool's "
            "variable or the payload's rpc_pool. Nothing was published"
        )


class CapExceeded(FatalError):
    """The range's output is larger than a cap allows (CAP-1); nothing was uploaded."""

    def __init__(self, *, variable: str, limit: int, seen: int, block_range: str, file: str | None = None) -> None:
        self.variable, self.limit, self.seen = variable, limit, seen
        where = f" ({file})" if file else ""
        super().__init__(
            f"blocks {block_range} exceed {variable}: {seen} is over the cap of {limit}{where}. Nothing was uploaded; "
            "plan smaller ranges or raise the cap"
        )


class SchemaDrift(FatalError):
    """A file's columns are not those of the pinned Cryo: another build wrote it."""

    def __init__(self, *, file: str, dataset: str, differences: Sequence[str], executable: str) -> None:
        self.differences = tuple(differences)
        super().__init__(
            f"{file} has not the schema that Cryo 0.3.2 gives {dataset}: {'; '.join(differences)}. "
            f"It was written by {executable}: point TRACE_CRYO_BIN at Cryo 0.3.2"
        )


class UnsafeStaging(FatalError):
    """A staging path is a symbolic link, no directory, or somebody else's (STG-6)."""

    def __init__(self, *, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"refusing to stage in {path}: it {reason}. Nothing behind it was touched; remove it or set "
            "TRACE_CRYO_STAGING_ROOT to a directory that only this user can write"
        )


class ModeMismatch(FatalError):
    """Fake data in real mode, or real data under the prefix in fake mode (MOD-5, LAY-11)."""

    def __init__(self, *, name: str, found: str, mode: str) -> None:
        self.name = name
        super().__init__(
            f"{name} holds {found} data, but this worker runs in {mode} mode (TRACE_CRYO_MODE). Nothing was replaced "
            "or deleted; use another bucket or dataset for each mode, or remove the prefix by hand"
        )


class DatasetMismatch(FatalError):
    """A manifest under the prefix lists files of another dataset: one identity was used for two datasets (LAY-12)."""

    def __init__(self, *, manifest: str, key: str) -> None:
        self.manifest, self.key = manifest, key
        super().__init__(
            f"{manifest} publishes {key}, which is not a file of this task: one dataset_uuid, config_hash, chain and "
            "range were used for two datasets. Nothing was replaced or deleted; give each dataset a dataset_uuid of "
            "its own and submit the task again"
        )


class StoreDenied(FatalError):
    """The object store refused the credentials or the permission."""

    def __init__(self, *, operation: str, key: str, reason: str) -> None:
        super().__init__(
            f"the object store denied {operation} on {key}: {reason}. Check the credentials and that the policy grants "
            "what docs/reference.md lists"
        )


class NoSuchBucket(FatalError):
    """The bucket does not exist, or not in this region; `reason` is the store's own short word."""

    def __init__(self, *, bucket: str, reason: str) -> None:
        super().__init__(
            f"there is no bucket {bucket!r} here ({reason}): create it, or correct S3_BUCKET, S3_ENDPOINT or AWS_REGION"
        )


class StoreUnfit(FatalError):
    """The store lacks what publishing once needs: conditional writes that it obeys."""

    def __init__(self, *, operation: str, reason: str) -> None:
        super().__init__(
            f"the object store can't do {operation}: {reason}. Publishing exactly once needs If-None-Match and "
            "If-Match on PUT: use a store that has them"
        )


class UnmanageableKey(FatalError):
    """Somebody left a key below the prefix that can be neither addressed nor deleted, so it can't be made exact."""

    def __init__(self, *, prefix: str, key: str | None) -> None:
        self.key = key
        found = f"the key {key!r}" if key else "a key with an empty or special segment"
        super().__init__(
            f"below {prefix} lies {found}, which this worker can't address and readers must not find. Nothing was "
            "replaced or deleted; delete it by hand and submit the task again"
        )


class CryoFailed(RetryableError):
    """Cryo ended with an error or by a signal, and running it again within the attempt did not complete the range."""

    def __init__(
        self, *, block_range: str, ended: str, chunks_done: int, chunks: int, hint: str, tail: Sequence[str]
    ) -> None:
        self.chunks_done, self.chunks = chunks_done, chunks
        super().__init__(
            f"Cryo {ended} with {chunks_done} of {chunks} chunks of blocks {block_range} done, and three runs in a row "
            f"added none{hint and '. ' + hint.removesuffix('.')}" + last_lines(tail)
        )


class DeadlineExceeded(RetryableError):
    """Cryo did not finish within `TRACE_CRYO_DEADLINE_SECONDS`; its process group was killed (OUT-3)."""

    def __init__(
        self, *, block_range: str, deadline_seconds: float, chunks_done: int, chunks: int, fitting: int
    ) -> None:
        self.chunks_done, self.chunks = chunks_done, chunks
        advice = f"about {fitting} blocks would have fitted" if fitting else "not one chunk was finished"
        super().__init__(
            f"Cryo was stopped at the deadline of {deadline_seconds:g} s with {chunks_done} of {chunks} chunks of "
            f"blocks {block_range} done: {advice}. Plan smaller ranges or raise TRACE_CRYO_DEADLINE_SECONDS"
        )


class ProofFailed(RetryableError):
    """A file does not hold what the range calls for (RNG-4); `evidence` says which blocks and why."""

    def __init__(self, *, file: str, evidence: str) -> None:
        self.file, self.evidence = file, evidence
        super().__init__(f"{file} is not whole: {evidence}. Nothing was published")


class StaleHead(RetryableError):
    """The endpoint has not come so far that the range is final (RNG-5); `reason` says how far it has come."""

    def __init__(self, *, endpoint: str, last_block: int, reason: str) -> None:
        super().__init__(
            f"{endpoint} of the RPC pool does not have block {last_block} as final: {reason}. Try again later, or set "
            "TRACE_CRYO_CONFIRMATIONS=N to judge by the head less N blocks; Cryo was not started"
        )


class NodeUnavailable(RetryableError):
    """An endpoint gave no answer that can be used, after retries."""

    def __init__(self, *, endpoint: str, method: str, reason: str) -> None:
        super().__init__(f"{endpoint} of the RPC pool failed {method}: {reason}. Nothing was published")


class DiskFull(RetryableError):
    """The staging disk has no room for the attempt (STG-7)."""

    def __init__(self, *, path: Path, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"the disk under {path} has {free_bytes} bytes free and an attempt wants {needed_bytes}: free some space "
            "or set TRACE_CRYO_STAGING_ROOT to a larger disk. Nothing was uploaded"
        )


class MachineFailed(RetryableError):
    """The operating system refused something that an attempt needs: processes, memory, descriptors, the local disk."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            f"the machine failed the attempt: {reason}. Look at its disk, memory and limits, then try again"
        )


class StagingHeld(RetryableError):
    """A live attempt, or a Cryo that outlived its worker, holds the staging directory (STG-5)."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(f"{path} is held by a live attempt or by the Cryo of a dead one: try again when it has ended")


class StoreUnavailable(RetryableError):
    """The object store did not answer, or answered with a fault of its own."""

    def __init__(self, *, operation: str, key: str, reason: str) -> None:
        super().__init__(f"the object store failed {operation} on {key}: {reason}")


class StoredBytesDiffer(RetryableError):
    """The store took an object and keeps other bytes than were sent."""

    def __init__(self, *, key: str, difference: str) -> None:
        self.key = key
        super().__init__(
            f"the object store does not hold {key} as it was sent: {difference}. Nothing was published; the next "
            "attempt replaces it. If this repeats, a proxy before the store or the store itself is broken"
        )


LEAST_SKEW_SECONDS = 60.0
"""S3 refuses clocks that are 15 minutes off; a smaller difference was measured after the clock had been set."""


class ClockSkewed(RetryableError):
    """The store refuses requests because this machine's clock is wrong."""

    hits_every_attempt = True

    def __init__(self, *, difference_seconds: float | None) -> None:
        self.difference_seconds = difference_seconds
        if difference_seconds is None or abs(difference_seconds) < LEAST_SKEW_SECONDS:
            how = "differs from the object store's"
        else:
            direction = "ahead of" if difference_seconds > 0 else "behind"
            how = f"is {abs(difference_seconds):.0f} s {direction} the object store's"
        super().__init__(
            f"this machine's clock {how}, so the object store refuses its requests: synchronize it (NTP, chrony). "
            "Nothing was published"
        )


class CredentialsExpired(RetryableError):
    """The store's credentials were temporary and have expired."""

    hits_every_attempt = True

    def __init__(self, *, code: str) -> None:
        super().__init__(
            f"the credentials for the object store have expired ({code}): renew AWS_SESSION_TOKEN and its keys, or use "
            "a role, whose credentials renew themselves. Nothing was published"
        )


class PrefixContended(RetryableError):
    """Another writer keeps changing the prefix, so it could not be brought to its exact state."""

    def __init__(self, *, prefix: str, reason: str) -> None:
        super().__init__(f"the prefix {prefix} would not settle: {reason}. Another attempt is writing there")


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


def last_lines(tail: Sequence[str]) -> str:
    """Join the last lines that Cryo printed, already redacted, for the end of a message."""
    return f". Cryo's last lines: {' | '.join(tail)}" if tail else ""


def leaves(root: type[IngestError] = IngestError) -> list[type[IngestError]]:
    """List the leaf classes below `root` in the order of the tree above."""
    children = root.__subclasses__()
    return [leaf for child in children for leaf in leaves(child)] if children else [root]
