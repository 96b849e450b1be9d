"""Known failures: what is listed and comes does not count, all else does."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.checks.evidence import Violation
from harness.checks.verdict import CheckResult
from harness.cli import app
from harness.kit.known import BadList, compare, read
from harness.report.result import ScenarioResult

SCENARIOS = ["straight-run"]
FAILED = ScenarioResult(CheckResult("straight-run", (Violation("LAY-3", "keys", "bare\n names"),)), "title", ("LAY-3",))
PASSED = ScenarioResult(CheckResult("straight-run", passed=("LAY-3",)), "title", ("LAY-3",))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("LAY-3/straight-run", "line 2: write CLAUSE/SCENARIO # message"),
        ("LAY-3 # no", "line 2: write CLAUSE/SCENARIO # message"),
        ("LAY-99/straight-run # no", "line 2: the contract has no clause LAY-99"),
        ("LAY-3/crooked-run # no", "line 2: there is no scenario crooked-run"),
        ("LAY-3/straight-run # a\nLAY-3/straight-run # b", "line 3: LAY-3/straight-run stands there twice"),
    ],
)
def test_a_mistake_is_named_with_its_line(line: str, said: str, tmp_path: Path):
    """The file, the line, and what is wrong there."""
    path = tmp_path / "known.txt"
    path.write_text(f"# what we know\n{line}\n")
    with pytest.raises(BadList, match=r"^known\.txt") as caught:
        read(path, SCENARIOS)
    assert said in str(caught.value)


def test_a_listed_failure_that_comes_is_known(tmp_path: Path):
    """White space aside its message is the beginning of what is seen."""
    path = tmp_path / "known.txt"
    path.write_text("\n# comment\nLAY-3/straight-run # bare names\n")
    assert compare(read(path, SCENARIOS), [FAILED]) == ({"LAY-3/straight-run": "bare names"}, ())


@pytest.mark.parametrize(
    ("ran", "message", "said"),
    [(PASSED, "bare", "did not fail"), (FAILED, "other", "LAY-3/straight-run # bare names")],
)
def test_what_is_listed_otherwise_than_it_comes_speaks_against_the_run(ran: ScenarioResult, message: str, said: str):
    """A listed pass, and another message with the line that would be right."""
    known, complaints = compare({"LAY-3/straight-run": message}, [ran])
    assert known == {}
    assert said in complaints[0]


def test_what_is_not_listed_comes_with_its_line():
    """An empty list is a beginning."""
    known, complaints = compare({}, [FAILED, PASSED])
    assert known == {}
    line = "LAY-3/straight-run # bare names"
    assert complaints == (f"LAY-3/straight-run is not on the list; its line would be: {line}",)


def test_a_line_as_it_is_told_is_one_that_can_be_listed(tmp_path: Path):
    """Whatever was seen: nothing at all, a comment's sign, several things in no order."""
    for seen in ("", "a # b", "  # ", "x" * 5000, "one\ttab"):
        ran = ScenarioResult(
            CheckResult("straight-run", (Violation("LAY-3", "a", seen), Violation("LAY-3", "a", "z"))), "t", ("LAY-3",)
        )
        (told,) = compare({}, [ran])[1]
        path = tmp_path / "known.txt"
        path.write_text(told.partition("its line would be: ")[2])
        for order in (1, -1):
            checks = CheckResult("straight-run", ran.violations[::order])
            assert compare(read(path, SCENARIOS), [ScenarioResult(checks, "t", ("LAY-3",))])[1] == ()


def test_a_broken_list_is_one_line_and_exit_64(tmp_path: Path):
    """It is said before anything runs."""
    path = tmp_path / "known.txt"
    path.write_text("nonsense\n")
    result = CliRunner().invoke(app, ["conformance", "--target", "reference", "--known", str(path)])
    assert result.exit_code == 64
    assert "known.txt, line 1" in result.output
