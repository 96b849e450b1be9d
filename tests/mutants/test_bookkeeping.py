"""Which runs reach a mutant, which survivors are explained, and how the score is counted."""

import dataclasses
from pathlib import Path

import pytest
from mutation.cache import current
from mutation.clauses import touched_by
from mutation.mutant import Mutant, load
from mutation.population import OURS, REFERENCE, all_mutants, modules_of, sample
from mutation.reach import Recorded, reaching
from mutation.report import lines
from mutation.verdict import Explanation, Score, Verdict, clauses_of, explanations, scores
from mutation.wire import in_order, problems_of

from harness.checks.verdict import CheckResult

MUTANT = Mutant("cryo_ingest.layout", 10, "constant", 1, 0, 1, "x", (10, 12))


def recorded(name: str, *numbers: int, seconds: float = 1.0, clauses: tuple[str, ...] = ()) -> Recorded[str]:
    """Return a run that executed lines of one module."""
    return Recorded(name, seconds, clauses, lines={MUTANT.module: frozenset(numbers)})


def test_a_run_reaches_a_mutant_if_it_executes_a_line_of_its_statement():
    """Runs that execute no such line, or that have problems without a mutant, are left out."""
    failed = dataclasses.replace(recorded("failed", 11), problems=("OUT-1: seen",))
    runs = [recorded("before", 9), recorded("inside", 11), recorded("last", 12), failed, recorded("after", 13)]
    assert [run.name for run in reaching(MUTANT, runs)] == ["inside", "last"]


def test_what_runs_at_import_is_reached_by_runs_that_use_its_name():
    """A constant of a module is reached by the runs that execute a function with its name."""
    source = next(module.source for module in modules_of(OURS) if module.name == "cryo_ingest.publish.prefix")
    used = next(number for number, line in enumerate(source.splitlines(), 1) if "max_bytes=FOOTER_BYTES" in line)
    constant = dataclasses.replace(MUTANT, module="cryo_ingest.publish.prefix", symbol="FOOTER_BYTES")
    runs = [
        Recorded("uses", 1.0, lines={constant.module: frozenset({used})}),
        Recorded("other", 1.0, lines={constant.module: frozenset({used + 20})}),
    ]
    assert [run.name for run in reaching(constant, runs)] == ["uses"]
    unused = dataclasses.replace(constant, symbol="NO_SUCH_NAME")
    assert [run.name for run in reaching(unused, runs)] == ["uses", "other"]


def test_scenarios_of_the_clauses_that_the_code_names_come_first():
    """Half of the scenarios have such a clause, then come the fastest of the others."""
    runs = [recorded("a"), recorded("b", clauses=("LAY-1",)), recorded("c", clauses=("LAY-1",)), recorded("d")]
    chosen = in_order(runs, ["LAY-1"], 2)  # type: ignore[arg-type, type-var]
    assert [run.name for run in chosen] == ["b", "a"]


def test_a_sample_is_repeatable_and_part_of_a_larger_one():
    """The seed alone chooses the mutants."""
    mutants = [dataclasses.replace(MUTANT, line=line) for line in range(50)]
    small, large = sample(mutants, 5, 1), sample(mutants, 20, 1)
    assert small == sample(mutants, 5, 1)
    assert small != sample(mutants, 5, 2)
    assert set(small) < set(large)


@pytest.mark.parametrize("worker", [OURS, REFERENCE])
def test_every_name_of_a_population_is_unique(worker: str):
    """Each mutant can be run alone."""
    mutants = all_mutants(worker)
    assert len({mutant.name for mutant in mutants}) == len(mutants) > 1000


def test_every_explanation_fits_a_mutant_and_has_a_reason():
    """An explanation whose code has changed is noticed."""
    sources = {module.name: module.source for worker in (OURS, REFERENCE) for module in modules_of(worker)}
    everything = [*all_mutants(OURS), *all_mutants(REFERENCE)]
    for explanation in explanations():
        assert explanation.reason.endswith(".")
        assert any(
            explanation.fits(mutant.name, mutant.diff(sources[mutant.module]))
            for mutant in everything
            if explanation.fits(mutant.name, explanation.diff)
        ), explanation


def test_an_explanation_fits_by_name_and_diff():
    """Both must match; a pattern of the name survives a change of the line's number."""
    explanation = Explanation("a.b:*:constant:1", "-    x = 1", "It does the same.")
    assert explanation.fits("a.b:7:constant:1", "-    x = 1\n+    x = 2")
    assert not explanation.fits("a.b:7:constant:2", "-    x = 1")
    assert not explanation.fits("a.b:7:constant:1", "-    y = 1")


def test_the_score_counts_killed_and_surviving_mutants_by_group():
    """A killed mutant counts for the clause that was reported first, a survivor for the first one that it touches."""
    verdicts = [
        Verdict("a", "killed", "", "simulation", reported=("LAY-1",), touches=("OUT-1",)),
        Verdict("b", "survived", "", touches=("LAY-2",)),
        Verdict("c", "killed", "", "simulation", problem="the worker ended"),
        Verdict("d", "explained", "", touches=("LAY-2",)),
        Verdict("e", "invalid", ""),
    ]
    assert scores(verdicts) == {"": Score(1, 0), "LAY": Score(1, 1)}
    text = "\n".join(lines(verdicts))
    assert "| all | 2 | 1 | 67 % |" in text
    assert "not counted: 1 explained, 1 invalid" in text
    assert "SURVIVED b (no run reaches it)" in text


def test_clauses_are_read_from_problems():
    """Problems without a clause name none."""
    assert clauses_of(["LAY-1: expected", "the worker ended", "LAY-1: again", "OUT-2: x"]) == ("LAY-1", "OUT-2")


def test_errors_are_problems_only_if_there_is_no_violation():
    """A run that does not show what its scenario names has no clause."""
    assert problems_of(CheckResult("a", errors=("no event shows X",))) == ("-: no event shows X",)
    assert problems_of(CheckResult("a")) == ()


def test_a_mutant_touches_the_clauses_that_its_function_names():
    """Otherwise those of the class, of the module, or of the scenarios that reach it."""
    source = next(module.source for module in modules_of(OURS) if module.name == "cryo_ingest.attempt")
    at = next(number for number, line in enumerate(source.splitlines(), 1) if "sizes_bytes=sizes)" in line)
    assert touched_by(dataclasses.replace(MUTANT, module="cryo_ingest.attempt", line=at)) == ["CAP-2"]
    unnamed = dataclasses.replace(MUTANT, module="cryo_ingest.backoff", line=1)
    assert touched_by(unnamed, [("LAY-1", "LAY-2"), ("LAY-2",)]) == ["LAY-2", "LAY-1"]


def test_recorded_runs_are_kept_until_a_source_changes(tmp_path: Path):
    """A change of the worker makes them again."""
    source = tmp_path / "root" / "cryo_ingest" / "a.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1")
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return len(made)

    def get() -> int:
        return current(tmp_path / "root").kept("runs", make)

    assert [get(), get()] == [1, 1]
    source.write_text("x = 2")
    assert get() == 2


def test_a_failed_recording_is_not_kept(tmp_path: Path):
    """It is made again next time."""
    cache = current(tmp_path)
    assert cache.kept("run", lambda: 1, is_worth_it=lambda _: False) == 1
    assert cache.kept("run", lambda: 2) == 2


def test_a_mutant_is_the_same_after_it_was_saved(tmp_path: Path):
    """Another process gets the whole mutant."""
    MUTANT.save(tmp_path / "mutant.json")
    assert load(tmp_path / "mutant.json") == MUTANT
