"""A short history written by hand: the attempt writes its manifest first, and a fault fires."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from harness.checks.evidence import Violation
from harness.checks.verdict import CheckResult
from harness.history import (
    Event,
    FaultFired,
    FinalState,
    LogLine,
    RpcCall,
    ScenarioStarted,
    StoreRequest,
    StoreResponse,
    TaskCreated,
    WorkerExited,
    WorkerStarted,
)
from harness.report.result import RunResult, ScenarioResult, scenario_result
from harness.scenario import PAYLOAD, Scenario

PREFIX = "cryo/31337/0f8fad5b-d9cb-469f-a165-70867728950e/500_1700/59b0897e-4bc5-5538-8509-face5fec2912/"
SCENARIO = Scenario(name="by-hand", title="Made <by> hand & \x1b[31mred", clauses=("LAY-5", "LAY-8", "PUB-3"))
HOSTILE = "</script><b>]]>\x1b[2J\x00 \u202e"


def history() -> list[Event]:
    """Return the history; one log line has markup and control characters."""
    events: list[tuple[type[Event], dict[str, Any]]] = [
        (ScenarioStarted, {"scenario": SCENARIO.model_dump(mode="json"), "target": "cmd:./worker", "store": "moto",
                 "limitations": ("wrong checksums",), "bucket": "b-1", "staging_root": "/stage"}),
        (TaskCreated, {"task": 0, "task_id": "t-0", "payload": PAYLOAD}),
        (WorkerStarted, {"worker": 0, "task": 0, "pid": 7}),
        (LogLine, {"worker": 0, "text": HOSTILE}),
        *[(RpcCall, {"node": "main", "method": "eth_chainId", "blocks": None, "fault": False})] * 3,
        (StoreRequest, {"operation": "put", "key": f"{PREFIX}_manifest.json"}),
        (FaultFired, {"fault": "store put _manifest answer 503 before #1"}),
        (StoreResponse, {"kind": "object_put", "request_number": 8, "operation": "PUT",
                         "key": f"{PREFIX}_manifest.json", "digest": "0" * 64, "status": None, "delivered_status": 503,
                         "fault": "store put _manifest answer 503 before #1"}),
        (WorkerExited, {"worker": 0, "code": 75}),
        (FinalState, {"objects": {}, "staged": ()}),
    ]  # fmt: skip
    return [
        event_class(number=number, at=number / 4, **fields)
        for number, (event_class, fields) in enumerate(events, start=1)
    ]


@pytest.fixture
def result() -> RunResult:
    """A scenario with one FAIL, one INCONCLUSIVE and one PASS, and a scenario in which the harness failed."""
    violation = Violation("LAY-5", "the manifest is written last", f"{PREFIX}x <i>{HOSTILE}", (8, 10))
    inconclusive = {"LAY-8": "the store accepts wrong checksums"}
    checks = CheckResult("by-hand", (violation,), ("PUB-3",), inconclusive)
    first = replace(scenario_result(history(), history="histories/by-hand.jsonl"), checks=checks)
    errors = ("the harness failed: OSError: no <space>",)
    second = ScenarioResult(CheckResult("with-error", errors=errors), "The harness failed", ("OUT-1",))
    return RunResult(
        target="cmd:./worker", store="moto", clauses=("LAY-5", "LAY-8", "PUB-3", "OUT-1", "SEC-1"),
        scenarios=(first, second), profile="core", limitations=("wrong checksums",),
        options=("--target", "cmd:./worker --it's", "--store", "moto"), excluded={"SEC-1": "it has no secrets"},
        skipped={"real-cryo": "no Cryo <here>"}, began_at=datetime(2026, 11, 23, 12, tzinfo=UTC), seconds=3.5,
    )  # fmt: skip
