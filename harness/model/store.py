"""What faults of the store and of the dispatcher mean for a task: OUT-2, OUT-4, LAY-10 and OUT-1."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from harness.faults.store import DEFECTS
from harness.model.allowed import ALL, FATAL, RETRYABLE, SUCCESS, Finding, Outcomes, Stage
from harness.model.node import SOME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.faults import DispatcherFault, StoreFault
    from harness.scenario import Scenario

REFUSALS = {"AccessDenied": FATAL, "NoSuchBucket": FATAL, "NotImplemented": FATAL}
"""Answers that no other attempt changes (OUT-4)."""
FILES, MANIFEST = "parquet$", "_manifest.json$"
"""The patterns of keys by which scenarios name all files, and the manifest."""
CONDITION_CODES = (404, 409, 412)
SHORT_SECONDS = 3.0
"""An answer that is so late is in time: a lease of 30 s has more left."""


def store_findings(scenario: Scenario, *, has_stored_files: bool) -> Iterator[Finding]:
    """Yield what the store's faults can do; a file that is stored already may need no PUT."""
    for fault in scenario.store_faults:
        outcomes = _of_store(fault)
        certain = fault.operation != "delete" and fault.times is None and _matches_every_file(fault)
        certain = certain and not (has_stored_files and fault.key == FILES)
        if outcomes != SUCCESS:
            yield Finding(Stage.AFTER_CRYO, outcomes, "OUT-4" if outcomes >= FATAL else "OUT-2", certain=certain)


def _matches_every_file(fault: StoreFault) -> bool:
    """Return whether a fault is for each listing, or the PUT of each file or of the manifest, however it is sent."""
    return (
        fault.operation != "get"
        and fault.key in {"", FILES, MANIFEST}
        and not fault.replacing
        and fault.nth == fault.every == 1
    )


def _of_store(fault: StoreFault) -> Outcomes:
    """Return how a task may end if a fault of the store fires."""
    is_short = fault.times is not None and fault.times <= SOME
    if fault.do in DEFECTS:
        if fault.do == "refuse-quoted-etags":
            return SUCCESS
        # The worker tries a store's conditions, and reads what a store keeps.
        return FATAL if fault.do == "ignore-conditions" else RETRYABLE
    if fault.do in {"answer", "slow-down"}:
        if fault.do == "answer" and fault.code in REFUSALS:
            return REFUSALS[fault.code]
        if is_short:
            return SUCCESS
        return ALL if fault.do == "answer" and fault.status in CONDITION_CODES else RETRYABLE
    return RETRYABLE


def dispatcher_findings(scenario: Scenario) -> Iterator[Finding]:
    """Yield what the dispatcher's faults and the harness's own actions can do."""
    for fault in scenario.dispatcher_faults:
        if not _is_survived(fault):
            yield Finding(Stage.AFTER_CRYO, ALL, "", certain=False)
    if scenario.triggers or scenario.preloaded_files or scenario.platform.until != "ended":
        yield Finding(Stage.CONFIGURATION, ALL, "", certain=False)


def _is_survived(fault: DispatcherFault) -> bool:
    """Return whether an attempt goes on in spite of a fault, or the task's wake-up comes again (LSE-5, OUT-1)."""
    if fault.do == "unknown-fields" or (fault.do == "delay" and fault.seconds <= SHORT_SECONDS):
        return True
    is_short = fault.times is not None and fault.times <= SOME
    is_failure = fault.do in {"reset", "hang"} or (
        fault.do == "status" and fault.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )
    # After an unanswered claim, the task is only offered again when the lease of that claim ends.
    return is_short and is_failure and not (fault.kind == "claim" and fault.when == "after")
