# ruff: noqa: I001 - in the order of the tree, which `leaves` lists
"""The errors of an attempt, each exactly one of retryable or fatal.

    IngestError
    ├── FatalError                          outcome fatal_error
    │   ├── BadPayload                      exit 65
    │   ├── BadJob                          exit 65, of `plan` and `sync` only
    │   ├── ConfigurationError              exit 78, at start-up only
    │   ├── CryoNotRunnable                 exit 69, as are all below
    │   ├── CryoRejectedArguments
    │   ├── CryoWroteNothing
    │   ├── RpcPoolUnresolved
    │   ├── EndpointUnusable
    │   ├── WrongChain
    │   ├── CapExceeded
    │   ├── UnexpectedSchema
    │   ├── UnsafeStaging
    │   ├── ModeMismatch
    │   ├── DatasetMismatch
    │   ├── StoreDenied
    │   ├── NoSuchBucket
    │   ├── StoreUnfit
    │   └── UnsupportedKey
    └── RetryableError                      outcome retryable_error, exit 75
        ├── CryoFailed
        ├── DeadlineExceeded
        ├── AnswerRefused
        ├── EndpointsDisagree
        ├── ProofFailed
        ├── RangeNotFinal
        ├── NodeUnavailable
        ├── DiskFull
        ├── MachineFailed
        ├── StagingLocked
        ├── StoreUnavailable
        ├── StoredBytesDiffer
        ├── ClockSkewed
        ├── CredentialsExpired
        ├── PrefixContended
        ├── StoppedByShutdown               in a service only, as is the next
        └── AttemptCrashed

Retry decisions use only `outcome`; the process's exit code is the leaf's `exit_code` (sysexits.h). Clauses OUT-2 and
OUT-4 define which errors are fatal. No message contains a URL, a key or the value of a payload field.
"""

from __future__ import annotations

from cryo_ingest.errors.base import (
    FatalError,
    IngestError,
    OutcomeName,
    RetryableError,
    first_exception_of,
)
from cryo_ingest.errors.payload import (
    BadJob,
    BadPayload,
    ConfigurationError,
)
from cryo_ingest.errors.extraction import (
    CapExceeded,
    CryoFailed,
    AnswerRefused,
    CryoNotRunnable,
    CryoRejectedArguments,
    CryoWroteNothing,
    DeadlineExceeded,
    DiskFull,
    EndpointsDisagree,
    EndpointUnusable,
    MachineFailed,
    NodeUnavailable,
    ProofFailed,
    RpcPoolUnresolved,
    UnexpectedSchema,
    StagingLocked,
    RangeNotFinal,
    UnsafeStaging,
    WrongChain,
)
from cryo_ingest.errors.store import (
    ClockSkewed,
    CredentialsExpired,
    DatasetMismatch,
    ModeMismatch,
    NoSuchBucket,
    PrefixContended,
    StoreDenied,
    StoreUnavailable,
    StoreUnfit,
    StoredBytesDiffer,
    UnsupportedKey,
)
from cryo_ingest.errors.service import (
    AttemptCrashed,
    StoppedByShutdown,
)

__all__ = [
    "AnswerRefused",
    "AttemptCrashed",
    "BadJob",
    "BadPayload",
    "CapExceeded",
    "ClockSkewed",
    "ConfigurationError",
    "CredentialsExpired",
    "CryoFailed",
    "CryoNotRunnable",
    "CryoRejectedArguments",
    "CryoWroteNothing",
    "DatasetMismatch",
    "DeadlineExceeded",
    "DiskFull",
    "EndpointUnusable",
    "EndpointsDisagree",
    "FatalError",
    "IngestError",
    "MachineFailed",
    "ModeMismatch",
    "NoSuchBucket",
    "NodeUnavailable",
    "OutcomeName",
    "PrefixContended",
    "ProofFailed",
    "RangeNotFinal",
    "RetryableError",
    "RpcPoolUnresolved",
    "StagingLocked",
    "StoppedByShutdown",
    "StoreDenied",
    "StoreUnavailable",
    "StoreUnfit",
    "StoredBytesDiffer",
    "UnexpectedSchema",
    "UnsafeStaging",
    "UnsupportedKey",
    "WrongChain",
    "first_exception_of",
    "leaves",
]


def leaves(root: type[IngestError] = IngestError) -> list[type[IngestError]]:
    """List the leaf classes below `root` in the order of the tree above."""
    children = root.__subclasses__()
    return [leaf for child in children for leaf in leaves(child)] if children else [root]
