"""What the environment of a worker means: MOD-1, MOD-4, MOD-6 and CAP-1 to CAP-5."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.contract import chunks
from harness.model.allowed import ALL, BAD_CONFIGURATION, FATAL, Finding, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.scenario import Scenario, TaskLine

FILES, FILE_BYTES, TOTAL_BYTES = (
    "MAX_PARQUET_FILES_PER_RANGE",
    "MAX_PARQUET_BYTES_PER_FILE",
    "MAX_TOTAL_PARQUET_BYTES_PER_RANGE",
)
CAPS = (FILES, FILE_BYTES, TOTAL_BYTES)
DEFAULT_FILES = 256
"""CAP-4."""
NEUTRAL = (
    "TRACE_CRYO_RPC_URL",
    "TRACE_CRYO_BIN",
    "TRACE_CRYO_CONFIRMATIONS",
    "TRACE_CRYO_REQUESTS_PER_SECOND",
    "MESC_",
)
"""Variables (also their first parts) that the other rules read, or that don't change how a task ends."""
UNSET = "(unset)"


def environment_of(scenario: Scenario, line: TaskLine) -> dict[str, str]:
    """Return the variables that a scenario sets for a task; those of the first task are those of a service."""
    own = scenario.tasks[0].environment if scenario.delivery == "worker" else line.environment
    return {name: value for name, value in (scenario.environment | own).items() if value != UNSET}


def pool_variable(pool: str) -> str:
    """Return the name of the variable with the URLs of a pool (MOD-6)."""
    return f"TRACE_RPC_POOL_{re.sub('[^A-Z0-9]', '_', pool.upper())}_URL"


def configuration_findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is wrong with the variables themselves."""
    if environment.get("TRACE_CRYO_MODE", "real") not in {"fake", "real"}:
        yield Finding(Stage.CONFIGURATION, BAD_CONFIGURATION, "MOD-1")
    for name in CAPS:
        value = environment.get(name, "1")
        if not value.startswith("{") and not (re.fullmatch("[0-9]+", value) and int(value) > 0):
            yield Finding(Stage.CONFIGURATION, BAD_CONFIGURATION, "CAP-3")
    known = ("TRACE_CRYO_MODE", "TRACE_RPC_POOL_", *CAPS, *NEUTRAL)
    if any(not name.startswith(known) for name in environment):
        yield Finding(Stage.CONFIGURATION, ALL, "", certain=False)


def cap_findings(
    environment: Mapping[str, str], payload: Mapping[str, Any], *, is_measured: bool, has_more_files: bool
) -> Iterator[Finding]:
    """Yield the caps that a range exceeds.

    A size in bytes may be exceeded or not, unless it was measured (`is_measured`): placeholders are sizes of the first
    task's files of real mode. Files that Cryo must not write (`has_more_files`) count as well.
    """
    files = len(chunks(payload["range_start"], payload["range_end"]))
    if files > int(environment.get(FILES, DEFAULT_FILES)):
        yield Finding(Stage.BEFORE_CRYO, FATAL, "CAP-5")
    for name in (FILE_BYTES, TOTAL_BYTES):
        value = environment.get(name)
        is_exact = is_measured and not has_more_files and value is not None and value.startswith("{")
        if is_exact and value in {"{under_largest_bytes}", "{under_total_bytes}"}:
            yield Finding(Stage.AFTER_CRYO, FATAL, "CAP-1", meets_published=True)
        elif value is not None and not is_exact:
            yield Finding(Stage.CRYO, FATAL, "CAP-1", certain=False, meets_published=True)
