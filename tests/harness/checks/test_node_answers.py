"""RPC-1 to RPC-4 on histories that are written here: what counts as a violation, and what does not."""

from typing import Any

import pytest

from harness.checks.evidence import Evidence, Findings
from harness.checks.node_answers import rpc_1, rpc_2, rpc_3, rpc_4
from harness.history import CryoStarted, Event, FinalState, RpcCall, ScenarioStarted, TaskCreated, WorkerExited
from harness.history import WorkerStarted as Started
from harness.scenario import Scenario


def evidence(*calls: dict[str, Any], code: int = 0, starts: tuple[dict[str, Any], ...] = (), **fields: Any) -> Evidence:
    """Make the evidence of one run that sent calls, each with the time of its arrival."""
    clauses = ("RPC-1", "RPC-2", "RPC-3", "RPC-4")
    scenario = Scenario(name="written-here", title="t", clauses=clauses, **fields)
    events: list[Event] = [
        ScenarioStarted(
            number=1, at=0, scenario=scenario.model_dump(mode="json"), target="t", store="moto", bucket="b",
            staging_root="/s",
        ),
        TaskCreated(number=2, at=0, task=0, task_id="id", payload=scenario.tasks[0].payload()),
        Started(number=3, at=0, worker=0, task=0, pid=1),
    ]  # fmt: skip
    for start in starts:
        known = {"arguments": (), "environment": (), "directory": "/s/id/1", "pid": 2, "staged": ()}
        events.append(CryoStarted(number=len(events) + 1, at=0, **(known | start)))
    for call in calls:
        number = len(events) + 1
        known = {"node": "main", "method": "eth_chainId", "blocks": None, "fault": False, "request": number}
        events.append(RpcCall(number=number, **(known | {"connection": number} | call)))
    events += [
        WorkerExited(number=len(events) + 1, at=99, worker=0, code=code),
        FinalState(number=len(events) + 2, at=100, objects={}, staged=()),
    ]
    return Evidence(events)


def count(findings: Findings) -> int:
    """Count the violations of a check that was exercised."""
    assert findings is not None
    return len(findings)


def test_rpc_1_repeated_calls_are_counted_against_different_ones():
    """RPC-1: three calls for two different ones are allowed, four are not, and the attempt must succeed."""
    first, second = {"at": 1.0, "params": "[1]"}, {"at": 1.0, "params": "[2]"}
    assert count(rpc_1(evidence(first, second, second))) == 0
    assert count(rpc_1(evidence(first, second, second, second))) == 1
    assert count(rpc_1(evidence(first, second, code=75))) == 1


REFUSED = {"at": 1.0, "connection": 7, "fault": True, "retry_after_seconds": 2.0}


@pytest.mark.parametrize(
    ("later", "violations"),
    [
        ({"at": 1.1, "connection": 8}, 0),
        ({"at": 1.1, "connection": 7}, 1),
        ({"at": 1.9, "connection": 8}, 1),
        ({"at": 1.9, "connection": 8, "node": "second"}, 0),
        ({"at": 3.0, "connection": 7}, 0),
    ],
    ids=["on its way", "after it was read", "too early", "at another endpoint", "after the time"],
)
def test_rpc_2_no_call_before_the_time_of_retry_after(later: dict[str, Any], violations: int):
    """RPC-2: a call that was on its way is no violation; one whose client must have read the 429 is."""
    assert count(rpc_2(evidence(REFUSED, later))) == violations


def test_rpc_2_the_other_calls_of_a_refused_batch_are_no_violation():
    """RPC-2: all calls of a batch arrive and are refused together, and count as one refusal."""
    batch = [REFUSED | {"request": 50} for _ in range(3)]
    assert count(rpc_2(evidence(*batch))) == 0
    assert count(rpc_2(evidence(*batch, {"at": 2.0}))) == 1


def test_rpc_2_calls_are_counted_over_every_window():
    """RPC-2: a second's calls at once and the rate after that are allowed; a batch counts call by call."""
    limit = {"environment": {"TRACE_CRYO_REQUESTS_PER_SECOND": "10"}}
    even = [{"at": 1.0} for _ in range(10)] + [{"at": 1.0 + step / 10} for step in range(50)]
    assert count(rpc_2(evidence(*even, **limit))) == 0
    assert count(rpc_2(evidence(*[{"at": 1.0, "request": 5} for _ in range(16)], **limit))) == 1
    assert count(rpc_2(evidence(*[{"at": 1.0 + step / 20} for step in range(60)], **limit))) == 1
    assert rpc_2(evidence({"at": 1.0})) is None


def test_rpc_3_says_where_the_url_was_found():
    """RPC-3: the URL in Cryo's environment is a violation; a Cryo that could not be examined shows nothing."""
    assert count(rpc_3(evidence(starts=({"pool_url_in": ()},)))) == 0
    findings = rpc_3(evidence(starts=({"pool_url_in": ("environment", "files")},)))
    assert count(findings) == 1
    assert findings
    assert findings[0].seen == "it is in Cryo's environment, files"
    assert rpc_3(evidence(starts=({"pool_url_in": None},))) is None


def test_rpc_4_a_success_needs_the_second_endpoint():
    """RPC-4: an attempt that succeeds went on at the second endpoint."""
    assert count(rpc_4(evidence({"at": 1.0}))) == 1
    assert count(rpc_4(evidence({"at": 1.0}, {"at": 2.0, "node": "second"}))) == 0
