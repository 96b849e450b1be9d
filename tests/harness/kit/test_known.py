"""Known failures: a listed failure does not count, any other does."""

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
        ("LAY-3/straight-run # a\nLAY-3/straight-run # b", "line 3: LAY-3/straight-run is listed twice"),
    ],
)
def test_a_mistake_is_named_with_its_line(line: str, said: str, tmp_path: Path):
    """The error names the file, the line, and the mistake."""
    path = tmp_path / "known.txt"
    path.write_text(f"# what we know\n{line}\n")
    with pytest.raises(BadList, match=r"^known\.txt") as caught:
        read(path, SCENARIOS)
    assert said in str(caught.value)


def test_a_failure_that_occurs_as_listed_is_known(tmp_path: Path):
    """Apart from white space, the listed message is the beginning of the observed one."""
    path = tmp_path / "known.txt"
    path.write_text("\n# comment\nLAY-3/straight-run # bare names\n")
    assert compare(read(path, SCENARIOS), [FAILED]) == ({"LAY-3/straight-run": "bare names"}, ())


@pytest.mark.parametrize(
    ("ran", "message", "said"),
    [(PASSED, "bare", "did not fail"), (FAILED, "other", "LAY-3/straight-run # bare names")],
)
def test_a_wrong_line_is_a_complaint(ran: ScenarioResult, message: str, said: str):
    """A line is wrong if the clause passes or if the message differs; then the right line is given."""
    known, complaints = compare({"LAY-3/straight-run": message}, [ran])
    assert known == {}
    assert said in complaints[0]


def test_a_failure_that_is_not_listed_is_reported_with_its_line():
    """A user can start with an empty list."""
    known, complaints = compare({}, [FAILED, PASSED])
    assert known == {}
    line = "LAY-3/straight-run # bare names"
    assert complaints == (f"LAY-3/straight-run is not listed; add the line: {line}",)


def test_a_suggested_line_can_be_listed(tmp_path: Path):
    """This holds for an empty observation, one with a comment sign, and several in any order."""
    for seen in ("", "a # b", "  # ", "x" * 5000, "one\ttab"):
        ran = ScenarioResult(
            CheckResult("straight-run", (Violation("LAY-3", "a", seen), Violation("LAY-3", "a", "z"))), "t", ("LAY-3",)
        )
        (complaint,) = compare({}, [ran])[1]
        path = tmp_path / "known.txt"
        path.write_text(complaint.partition("add the line: ")[2])
        for order in (1, -1):
            checks = CheckResult("straight-run", ran.violations[::order])
            assert compare(read(path, SCENARIOS), [ScenarioResult(checks, "t", ("LAY-3",))])[1] == ()


def test_a_bad_list_is_an_error_of_one_line_with_exit_64(tmp_path: Path):
    """The error comes before any scenario runs."""
    path = tmp_path / "known.txt"
    path.write_text("nonsense\n")
    result = CliRunner().invoke(app, ["conformance", "--target", "reference", "--known", str(path)])
    assert result.exit_code == 64
    assert "known.txt, line 1" in result.output
