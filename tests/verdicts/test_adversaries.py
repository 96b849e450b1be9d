"""Adversarial workers: each gets a clear verdict in bounded time."""

import sys

import pytest

from harness.checks.verdict import CheckResult, Verdict, check_history, verdicts
from harness.history import Event, WorkerExited, final_state, of
from harness.kit.conformance import IDLE_SCENARIOS, IDLE_WAIT_SECONDS, TimeLimit
from harness.kit.detect import with_time_limit
from harness.report.result import scenario_result
from harness.runner.run import run
from harness.scenario import find
from harness.stores.backends import Backends
from harness.stores.bucket import S3Endpoint
from harness.targets import Target

SCENARIOS = {one.name: one for one in find(["straight-run", "straight-service"])}
PATIENCE_SECONDS = 3.0
NEVER_ANSWERS = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
CRASHES = "raise SystemExit(3)"
FLOODS = """
import os, sys, threading
def flood(stream, block):
    for _ in range(2000):
        os.write(stream, block)
other = threading.Thread(target=flood, args=(2, b"\\n" * 65536))
other.start()
flood(1, b"x" * 65536)
other.join()
"""
ELSEWHERE = """
import os, urllib.request
for path in ("someone-elses", "someone-elses/stolen.parquet"):
    request = urllib.request.Request(f"{os.environ['S3_ENDPOINT']}/{path}", b"stolen", method="PUT")
    request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=test-key/20260101/us-east-1/s3/aws4_request")
    urllib.request.urlopen(request)
"""


def checked(program: str, scenario: str, cryo_moto: S3Endpoint) -> tuple[CheckResult, list[Event]]:
    target = Target("adversary", (sys.executable, "-c", program))
    events = run(with_time_limit(SCENARIOS[scenario], PATIENCE_SECONDS), target, Backends(cryo_moto, cryo_moto, "moto"))
    return check_history(events), events


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("program", [NEVER_ANSWERS, CRASHES, FLOODS], ids=["never-answers", "crashes", "floods"])
def test_a_worker_that_does_no_work_fails_in_bounded_time(program: str, scenario: str, cryo_moto: S3Endpoint):
    """The missing outcome is a violation, no clause counts as kept, and no process is left."""
    found, events = checked(program, scenario, cryo_moto)
    assert found.errors == ()
    assert found.passed == ()
    assert Verdict.FAIL in verdicts([found]).values()
    assert final_state(events).survivors == ()


def test_a_flood_of_output_is_read_and_truncated(cryo_moto: S3Endpoint):
    """125 MiB on each stream give a history of a few MiB, which says that output is not kept."""
    _, events = checked(FLOODS, "straight-run", cryo_moto)
    assert sum(len(event.model_dump_json()) for event in events) < 24 * 1024**2
    (exited,) = of(events, WorkerExited)
    assert "is not kept" in exited.stdout


def test_lay_1_a_write_to_another_bucket_is_recorded(cryo_moto: S3Endpoint):
    """LAY-1: any write of a worker to the store is found, also in another bucket."""
    found, _ = checked(ELSEWHERE, "straight-run", cryo_moto)
    written = [violation.seen for violation in found.violations if violation.clause == "LAY-1"]
    assert "someone-elses/stolen.parquet" in written


def test_the_wait_for_an_idle_worker_becomes_short(cryo_moto: S3Endpoint):
    """A whole profile takes minutes, although every scenario would wait for 40 seconds."""
    limit = TimeLimit(300.0)
    scenario = SCENARIOS["straight-run"]
    _, events = checked(NEVER_ANSWERS, "straight-run", cryo_moto)
    for _ in range(IDLE_SCENARIOS):
        assert limit.applied_to(scenario).patience_seconds == scenario.patience_seconds
        limit.record(scenario_result(events))
    assert limit.applied_to(scenario).patience_seconds == IDLE_WAIT_SECONDS
