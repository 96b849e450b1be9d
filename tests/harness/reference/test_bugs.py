import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.reference import bugs
from harness.reference.bugs import BUG_VARIABLE, BUGS, has_bug
from harness.reference.dispatcher import _lease_seconds, with_margin

FOLDER = Path(bugs.__file__).parent
CODE = "\n".join(path.read_text() for path in sorted(FOLDER.glob("*.py")) if path.name != "bugs.py")
CLAUSES = [
    *(f"PAY-{n}" for n in range(1, 6)),
    *(f"RNG-{n}" for n in range(1, 6)),
    *("VER-1", "VER-2"),
    *(f"LAY-{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
    *(f"PUB-{n}" for n in range(1, 7)),
    *(f"MOD-{n}" for n in range(1, 8)),
    *(f"RPC-{n}" for n in range(1, 5)),
    *(f"STG-{n}" for n in range(1, 9)),
    *(f"CAP-{n}" for n in range(1, 6)),
    *(f"OUT-{n}" for n in range(1, 7)),
    *(f"LSE-{n}" for n in range(1, 6)),
    *("SEC-1", "SEC-2"),
]


def test_every_clause_has_a_bug():
    """Each clause has a bug, so that its check has failed at least once."""
    assert {known.clause for known in BUGS} == set(CLAUSES)


def test_every_bug_has_a_switch_in_the_code():
    """A listed bug without a switch in the code could never be caught."""
    names = [known.name for known in BUGS]
    assert len(names) == len(set(names))
    asked = set(re.findall(r'has_bug\(\s*"([a-z0-9-]+)"', CODE))
    assert [name for name in names if f'"{name}"' not in CODE] == []
    assert asked <= set(names)


def test_an_unknown_bug_is_an_error():
    """A misspelt switch is an error and not silently off."""
    with pytest.raises(KeyError):
        has_bug("no-such-bug")


def test_several_bugs_are_switched_on_at_once(monkeypatch: pytest.MonkeyPatch):
    """The variable lists bugs with commas."""
    monkeypatch.setenv(BUG_VARIABLE, "no-deadline,leftovers-stay")
    assert [has_bug(name) for name in ("no-deadline", "leftovers-stay", "never-sweeps")] == [True, True, False]


def test_sources_are_public_threads():
    """The source of a real incident is the URL of its thread."""
    sources = [known.source for known in BUGS if known.source]
    assert len(sources) >= 10
    assert all(re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+", source) for source in sources)


def test_the_table_lists_every_bug():
    """`cryo-harness bugs` prints each bug with its clause and its source."""
    printed = CliRunner().invoke(app, ["bugs"], env={"COLUMNS": "160"}).output
    assert all(known.name in printed for known in BUGS)
    assert all(known.source in printed for known in BUGS if known.source)


def test_nothing_of_the_worker_is_imported():
    """The reference worker shares no code with our worker."""
    assert "cryo_ingest." not in CODE.replace("cryo_ingest.fake", "")
    assert not re.search(r"^\s*(from|import) cryo_ingest", CODE, re.MULTILINE)


def test_lse_3_the_margin_and_the_clock_of_a_lease(monkeypatch: pytest.MonkeyPatch):
    """LSE-3: the margin is 5 s or a third of the lease, and 1 s remains; the dispatcher's clock counts."""
    expires, date = "1970-01-01T00:01:30Z", "Thu, 01 Jan 1970 00:01:00 GMT"
    assert [with_margin(seconds) for seconds in (60.0, 6.0, 1.2, 0.5)] == [55.0, 4.0, 1.0, 1.0]
    assert _lease_seconds(expires, date) == 30
    monkeypatch.setenv(BUG_VARIABLE, "no-margin-to-the-lease")
    assert with_margin(60.0) == 60
    monkeypatch.setenv(BUG_VARIABLE, "trusts-its-own-clock")
    assert _lease_seconds(expires, date) < 0
