"""docs/contract.md has the clauses that the checks read, and the harness's dispatcher accepts its examples."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.fakes.dispatcher import Dispatcher
from harness.fakes.dispatcher.clock import ManualClock
from harness.fakes.dispatcher.dispatcher import ClaimForm
from harness.fakes.dispatcher.wire import Answer, DispatcherRequest
from harness.resources import clauses

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
HEARTBEAT_AFTER_SECONDS = 20.0
LEASE, CAPABILITY = "lease-7c1e", "capability-90ab"


def example(name: str, language: str = "json") -> str:
    """Return an example of the page."""
    (found,) = re.findall(rf"<!-- example: {name} -->\n```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


class Caller:
    """Sends the requests of the page to a dispatcher, with the dispatcher's tokens in place of those of the page."""

    def __init__(self, form: ClaimForm) -> None:
        self.clock = ManualClock(NOON)
        token = re.search(r"X-Trace-Worker-Token: (\S+)", PAGE)
        assert token is not None
        self.dispatcher = Dispatcher(clock=self.clock, form=form, lease_seconds=60, worker_token=token[1])
        claimed = json.loads(example("claimed"))
        self.dispatcher.add_task(claimed["task"]["config"], claimed["task"]["task_id"])
        self.tokens: dict[str, str] = {}

    def send(self, text: str) -> Answer:
        """Send a request of the page."""
        for written, given in self.tokens.items():
            text = text.replace(written, given)
        head, _, body = text.partition("\n\n")
        first, *rest = head.splitlines()
        method, path = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ") for line in rest)}
        return self.dispatcher.handle(DispatcherRequest(method, path, headers, body.encode())).answer

    def claim(self) -> dict[str, Any]:
        """Claim the page's task, and return the answer with the page's tokens in it."""
        answer = dict(self.send(example("claim", "http")).body)
        self.tokens = {LEASE: answer["lease_token"], CAPABILITY: answer["capability_token"]}
        return answer | {"lease_token": LEASE, "capability_token": CAPABILITY}


def test_the_generated_part_of_the_page_is_up_to_date():
    """The page has the current clauses and scenarios, as scripts/contract.py writes them."""
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "contract.py"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_clause_that_the_page_refers_to_is_on_it():
    """Each link to a clause has a target."""
    assert {name.upper() for name in re.findall(r"\(#([a-z]+-\d+)\)", PAGE)} <= clauses().keys()


@pytest.mark.parametrize(("form", "name"), [("documented", "claimed"), ("lite", "claimed, lite")])
def test_lse_1_the_dispatcher_answers_the_claims_of_the_page_as_shown(form: ClaimForm, name: str):
    """LSE-1: the dispatcher accepts the claim on the page and returns the response on the page, in both forms."""
    assert Caller(form).claim() == json.loads(example(name))


def test_out_1_the_requests_of_the_page_complete_the_task():
    """OUT-1, PUB-1: the dispatcher accepts the heartbeat and completion on the page; then the task is not claimable."""
    caller = Caller("documented")
    caller.claim()
    caller.clock.advance(HEARTBEAT_AFTER_SECONDS)
    assert caller.send(example("heartbeat", "http")).body == json.loads(example("renewed"))
    assert caller.send(example("complete", "http")).status == 200
    assert caller.send(example("claim", "http")).body == json.loads(example("not claimed"))
    assert caller.dispatcher.violations == []


def test_out_1_the_failure_of_the_page_is_accepted():
    """OUT-1: the dispatcher accepts the failure on the page as a completion."""
    caller = Caller("documented")
    caller.claim()
    head = example("complete", "http").partition("\n\n")[0]
    assert caller.send(f"{head}\n\n{example('failed')}").status == 200
    assert caller.dispatcher.violations == []


def test_the_wake_up_of_the_page_names_the_task_only():
    """The wake-up on the page has the task id and no other field."""
    (task,) = Caller("documented").dispatcher.tasks
    assert json.loads(example("wakeup")) == {"task_id": task.task_id}
