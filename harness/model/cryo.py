"""What Cryo's faults mean for a task: OUT-2, OUT-4, OUT-5 and RNG-4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.contract import chunks
from harness.model.allowed import ALL, FATAL, RETRYABLE, SUCCESS, Finding, Outcomes, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.scenario import Scenario

HARMLESS = frozenset(("print_url", "flood", "orphan", "ignore_sigterm", "read_blocks"))
LOSSES = frozenset(("omit_rows", "omit_transactions", "omit_blocks", "replace_block"))
BAD_FILES = frozenset(("fail_chunk", "truncate_file", "empty_file", "disk_full", "extra_file"))
NO_FILE = frozenset(("omit_chunk", "leave_temporary"))
BAD_ARGUMENTS = 2
"""The exit code of Cryo for a command line that it does not understand."""


def cryo_findings(scenario: Scenario, payload: Mapping[str, Any], *, has_stored_files: bool) -> Iterator[Finding]:
    """Yield what Cryo's faults, which last for all its runs, can do to a task.

    With `has_stored_files`, a file that Cryo can't write may be in the store already.
    """
    count = len(chunks(payload["range_start"], payload["range_end"]))
    for fault in scenario.cryo_faults:
        if fault["do"] in HARMLESS or fault.get("chunk", 0) >= count:
            continue
        outcomes = _outcomes(fault, payload, count)
        # Fake Cryo counts the chunks that it has to write, so a fault of a later chunk may not meet it in the next run.
        may_pass = has_stored_files or fault.get("chunk", 0) > 0
        yield Finding(Stage.CRYO, outcomes | SUCCESS if may_pass else outcomes, _clause(fault))


def _clause(fault: Mapping[str, Any]) -> str:
    if fault["do"] in LOSSES:
        return "RNG-4"
    return "OUT-4" if fault["do"] in {"wrong_schema", "disk_full"} else "OUT-2"


def _outcomes(fault: Mapping[str, Any], payload: Mapping[str, Any], count: int) -> Outcomes:
    name = fault["do"]
    if name in BAD_FILES | {"wrong_schema"}:
        return FATAL if name == "wrong_schema" else RETRYABLE
    if name in NO_FILE:
        return FATAL if count == 1 else RETRYABLE
    if name in {"exit", "signal"}:
        return _of_end(fault, count)
    if name in LOSSES:
        # By rows alone, only a dataset with a row for each block shows every loss.
        is_seen = payload["cryo_dataset_name"] == "blocks" and _is_loss(fault, payload)
        return RETRYABLE if is_seen else RETRYABLE | SUCCESS
    return ALL


def _of_end(fault: Mapping[str, Any], count: int) -> Outcomes:
    """Return how a task may end if Cryo ends early, by itself or by a signal."""
    written = fault["after_chunks"]
    if fault.get("code") == BAD_ARGUMENTS or (fault.get("code") == 0 and written == 0):
        return FATAL
    # Whether all files count that were there before Cryo failed is left open.
    return RETRYABLE if written < count else RETRYABLE | SUCCESS


def _is_loss(fault: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """Return whether a file of the dataset `blocks` really lacks a row."""
    parts = chunks(payload["range_start"], payload["range_end"])
    if fault["do"] == "omit_rows":
        return bool(len(parts[fault["chunk"]]) >= fault["every"])
    if fault["do"] == "omit_blocks":
        part = parts[fault["chunk"]]
        return bool(fault["first"] <= part[-1] and fault["last"] >= part[0])
    if fault["do"] == "replace_block":
        return bool(payload["range_start"] <= fault["block"] < payload["range_end"])
    return False
