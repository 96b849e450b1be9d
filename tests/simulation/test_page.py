"""The page of a campaign: it names the failures and what was never reached, and text from a run can't act in it."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.history import FaultFired
from harness.report.steps import describe_event
from harness.simulate.campaign import Campaign, explore
from harness.simulate.page import FAULTS, Failure, Results, render
from harness.simulate.plan import KINDS, Operation, PlannedFault
from harness.simulate.progress import Progress
from harness.simulate.results import results_of
from harness.simulate.run import simulate
from harness.simulate.worlds import ONE_TASK
from simulation.planted import rare

SCENARIO = ONE_TASK
TARGET = "simulation.planted.rare:worker"
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Collects the elements and the text of a page, and asserts that all elements are closed in the right order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102 - html.parser calls it
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102 - as above
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:  # noqa: D102 - as above
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:  # noqa: D102 - as above
        self.text += data

    @property
    def hovers(self) -> list[str | None]:
        """The texts that are shown on hover."""
        return [value for name, value in self.attributes if name == "title"]


def campaign() -> Campaign:
    """Return a campaign of two runs of a worker that loses metadata at seed 0."""
    plans = [(), (PlannedFault(Operation("store.create", 1), "slow"),)]
    return explore(SCENARIO, rare.worker, plans)


@pytest.fixture(scope="module")
def failing() -> Results:
    situations = {"it rained": True, "it <b>snowed</b>": False}
    return results_of(campaign(), target=TARGET, situations=situations, seconds=2.0)


def empty(**fields: object) -> Results:
    """Return the results of a campaign without problems."""
    found: dict[str, object] = {"target": TARGET, "kinds": KINDS, "runs": 2, "attempts": 3, "virtual_seconds": 7200.0}
    return Results(**(found | {"seconds": 2.0, "digest": "0" * 64} | fields))  # type: ignore[arg-type]


def test_the_page_names_each_failure_with_its_faults_problems_and_timeline(failing: Results):
    """The simplest run of a group is shown, and its events in the order of the history."""
    page = Page(render(failing))
    assert "has problems in 2 of 2 runs" in page.text
    assert "None: the run without faults shows it." in page.text
    assert "LAY-8" in page.text
    assert "wake-up message for task" in page.text
    assert page.text.index("claim") < page.text.index("deletes the wake-up message")
    assert "one-task, seed 0: store.create#1 slow" in page.text


def test_the_matrix_counts_runs_and_names_cells_that_were_never_reached(failing: Results):
    """The counts and the worlds are shown on hover."""
    hovers = Page(render(failing)).hovers
    assert "store.create slow: 1 run, 1 with problems" in hovers
    assert "store.create refused: never reached" in hovers
    cells = {("one", "store.list", "slow"): 1200, ("two", "store.list", "slow"): 3}
    assert "store.list slow: 1,203 runs (one 1,200, two 3), no problem" in Page(render(empty(exercised=cells))).hovers


def test_a_situation_that_never_came_up_is_a_failure(failing: Results):
    """It is named at the top, and among the situations."""
    assert "This situation never came up: it <b>snowed</b>." in Page(render(failing)).text
    page = Page(render(empty(situations={"it rained": False})))
    assert "FAIL" in page.text
    assert "but not everything was exercised" in page.text


def test_a_campaign_without_problems_passes():
    """The verdict is PASS, with the counts of the campaign."""
    text = Page(render(empty())).text
    assert "PASS" in text
    assert "kept the contract in all 2 runs" in text
    assert "2.0 h" in text
    assert "What failed" not in text


def test_a_failure_without_a_history_is_shown_too():
    """A large campaign keeps the histories of some runs only."""
    failure = Failure("one-task", 7, ("store.list#1 slow",), ("the worker ended with KeyError: 'x'",), replay="again")
    text = Page(render(empty(failures=(failure,), failed_runs=1))).text
    assert "the worker ended with KeyError" in text
    assert "World one-task, seed 7" in text
    assert FAULTS["slow"] in text


def test_the_first_problems_of_each_clause_are_shown():
    """Many attempts break a clause in the same way."""
    problems = tuple(f"OUT-1: expected a report of attempt {number}; seen: none" for number in range(12))
    text = Page(render(empty(failures=(Failure("one-task", 0, (), (*problems, "it did not end")),)))).text
    assert "attempt 2" in text
    assert "attempt 3" not in text
    assert "and 9 more" in text
    assert "it did not end" in text


@pytest.mark.parametrize(
    ("fault", "lane"),
    [
        ("store.create#2 slow", "store"),
        ("node.eth_chainId#1 refused", "rpc"),
        ("queue.hide#1 slow", "queue"),
        ("store 2nd PUT answers 503", "store"),
        ("claims are refused", "dispatcher"),
    ],
)
def test_a_fault_is_in_the_lane_of_its_component(fault: str, lane: str):
    """Faults of scenarios and of simulations have different texts."""
    (step,) = describe_event(FaultFired(number=1, at=0.0, fault=fault))
    assert step.target == lane


def test_text_of_a_run_is_escaped_and_the_page_loads_nothing():
    """Markup and control characters are shown as text; only the page's own style and script are allowed."""
    text = "</style><script>alert(1)</script>\x1b[2J"
    failure = Failure(text, 0, (text,), (text, f"LAY-5: expected {text}; seen: {text}"), replay=text)
    cells = {(text, text, "slow"): 1}
    rendered = render(
        empty(
            target=text,
            exercised=cells,
            broken=cells,
            unfired=(text,),
            situations={text: False},
            failures=(failure, failure),
            failed_runs=2,
        )
    )
    page = Page(rendered)
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert "\x1b" not in rendered
    assert "alert(1)" in page.text
    assert "http" not in rendered.replace("http-equiv", "")
    (policy,) = [value or "" for name, value in page.attributes if name == "content" and "default-src" in (value or "")]
    for tag in ("style", "script"):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", rendered, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() in policy


def test_every_fault_is_explained():
    """The page says what each kind of fault does."""
    assert set(KINDS) <= FAULTS.keys()


def test_a_report_in_a_directory_that_does_not_exist_is_a_usage_error(tmp_path: Path):
    """It is reported before the campaign, not after it."""
    arguments = ["simulate", "--target", TARGET, "--report", str(tmp_path / "nothing" / "page.html")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 64
    assert "nothing does not exist" in result.stderr


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_progress_is_shown_on_a_terminal_only():
    """A log file gets none."""
    found = Campaign()
    found.add(simulate(SCENARIO, rare.worker))
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream, lambda: 12.0, 10.0)
        progress.show(found)
        progress.end()
    assert "1 runs, 0 a second" in terminal.getvalue()
    assert "1 with problems" in terminal.getvalue()
    assert file.getvalue() == ""
