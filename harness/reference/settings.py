"""The environment (docs/reference.md), parsed once and strictly; an error names all bad variables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from harness.reference.bugs import BUG_VARIABLE, BUGS, chosen_bugs, has_bug
from harness.reference.errors import BadConfiguration

T = TypeVar("T")
MAX_PUT_BYTES = 5 * 1024**3
"""The largest object that S3 accepts in one PUT."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings; `environment` is the complete environment, for the URLs of pools and for Cryo."""

    mode: str
    cryo: str
    coverage: str
    staging_root: Path
    staging_ttl_hours: float
    max_files: int
    max_file_bytes: int
    max_total_bytes: int
    deadline_seconds: float
    requests_per_second: int | None
    max_concurrent_requests: int | None
    confirmations: int | None
    rpc_timeout_seconds: float
    concurrency: int
    grace_seconds: float
    environment: Mapping[str, str] = field(repr=False)

    @property
    def is_fake(self) -> bool:
        """Whether the worker extracts fake data."""
        return self.mode == "fake"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Parse the environment.

    Raises:
        BadConfiguration: variables are invalid; the message names each of them.
    """
    problems: list[str] = []

    def take(name: str, default: T, convert: Callable[[str], T], wanted: str) -> T:
        text = environment.get(name)
        if text is None:
            return default
        try:
            return convert(text)
        except ValueError:
            problems.append(f"{name} must be {wanted}")
            return default

    modes = ("fake", "real")
    mode = take("TRACE_CRYO_MODE", "fake", _mode if has_bug("any-mode-is-fake") else _one_of(*modes), "fake or real")
    cap = int if has_bug("cap-of-zero") else _integer(1)
    settings = Settings(
        mode=mode,
        cryo=environment.get("TRACE_CRYO_BIN") or "cryo",
        coverage=take("TRACE_COVERAGE", "chain", _one_of("rows", "chain", "receipts"), "rows, chain or receipts"),
        staging_root=take("TRACE_CRYO_STAGING_ROOT", Path("/tmp/trace/cryo"), _absolute, "an absolute path"),  # noqa: S108 - STG-1
        staging_ttl_hours=take("TRACE_CRYO_STAGING_TTL_HOURS", 24.0, _number(0), "a number >= 0"),
        max_files=take("MAX_PARQUET_FILES_PER_RANGE", 256, cap, "a positive integer"),
        max_file_bytes=take("MAX_PARQUET_BYTES_PER_FILE", 512 * 1024**2, cap, "a positive integer"),
        max_total_bytes=take("MAX_TOTAL_PARQUET_BYTES_PER_RANGE", 2 * 1024**3, cap, "a positive integer"),
        deadline_seconds=take("TRACE_CRYO_DEADLINE_SECONDS", 3600.0, _number(0, exclusive=True), "a number > 0"),
        requests_per_second=take("TRACE_CRYO_REQUESTS_PER_SECOND", None, _integer(1), "a positive integer"),
        max_concurrent_requests=take("TRACE_CRYO_MAX_CONCURRENT_REQUESTS", None, _integer(1), "a positive integer"),
        confirmations=take("TRACE_CRYO_CONFIRMATIONS", None, _integer(0), "an integer >= 0"),
        rpc_timeout_seconds=take("TRACE_RPC_TIMEOUT_SECONDS", 30.0, _number(0, exclusive=True), "a number > 0"),
        concurrency=take("TRACE_WORKER_CONCURRENCY", 1, _integer(1), "a positive integer"),
        grace_seconds=take("TRACE_SHUTDOWN_GRACE_SECONDS", 25.0, _number(0, exclusive=True), "a number > 0"),
        environment=dict(environment),
    )
    if settings.max_file_bytes > MAX_PUT_BYTES:
        problems.append(f"MAX_PARQUET_BYTES_PER_FILE must be at most {MAX_PUT_BYTES}")
    if set(chosen_bugs(environment)) - {known.name for known in BUGS}:
        problems.append(f"{BUG_VARIABLE} must be a bug that `cryo-harness bugs` lists, or several with commas")
    if problems:
        raise BadConfiguration("the environment can't be used: " + "; ".join(problems))
    return settings


def _mode(text: str) -> str:
    return "real" if text == "real" else "fake"


def _one_of(*words: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return convert


def _integer(least: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or int(text) < least:
            raise ValueError(text)
        return int(text)

    return convert


def _number(least: float, *, exclusive: bool = False) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or value < least or (exclusive and value == least):
            raise ValueError(text)
        return value

    return convert


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(text)
    return path
