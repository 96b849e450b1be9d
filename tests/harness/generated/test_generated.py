"""Generated scenarios: they cover all pairs that are possible, and each arises again from its name."""

from itertools import combinations, islice

import pytest

from harness.generated import Impossible, by_name, compose, cover, dimensions, generate, row_of, row_of_name
from harness.generated.compose import usual_row
from harness.generated.cover import impossible_pairs, pairs_of, random_row
from harness.scenario import problems


def test_all_possible_pairs_are_covered():
    """Every pair of values is in a row, or has a reason why it can't be."""
    found = cover()
    pairs = {
        ((first, one), (second, other))
        for first, second in combinations(dimensions(), 2)
        for one in dimensions()[first]
        for other in dimensions()[second]
    }
    assert found.covered | found.impossible.keys() == pairs
    assert not found.covered & found.impossible.keys()
    assert set(found.impossible.values()) - {"needs a third value that excludes one of them"} <= {
        *impossible_pairs().values()
    }
    assert {pair for row in found.rows for pair in pairs_of(row)} == found.covered


def test_generated_scenarios_are_valid_and_arise_again_from_their_names():
    """A failing scenario can be run again by its name."""
    found = generate(40, seed=7)
    assert [scenario.name for scenario in found] == [f"generated-7-{number}" for number in range(40)]
    assert [problems(scenario) for scenario in found] == [[]] * 40
    assert [by_name(scenario.name) for scenario in found] == found
    assert {row_of_name(scenario.name)["delivery"] for scenario in found} > {"run", "service"}


def test_another_seed_is_another_order():
    """A share of all scenarios rotates with the seed."""
    assert [row_of(number, seed=1) for number in range(5)] != [row_of(number, seed=2) for number in range(5)]


def test_scenarios_about_a_clause_vary_its_dimensions_only():
    """All triples of the values that the group is about."""
    usual = usual_row()
    for scenario in generate(30, seed=1, about="CAP-1"):
        unusual = {name for name, value in row_of_name(scenario.name).items() if value != usual[name]}
        assert unusual <= {"caps", "range", "dataset", "cryo"}


def test_after_all_pairs_rows_are_random():
    """There are as many scenarios as a run asks for."""
    beyond = len(cover().rows) + 3
    assert row_of(beyond, seed=1) == row_of(beyond, seed=1)
    for seed in islice(range(100), 20):
        assert compose(random_row(seed)).tasks


@pytest.mark.parametrize("name", ["generated-1", "generated-XXX-1-1-1", "straight-run"])
def test_other_names_are_not_those_of_generated_scenarios(name: str):
    """They are looked up among the files."""
    assert by_name(name) is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"dispatcher": "a claim gets 503"}, "needs a service"),
        ({"payload": "null", "stored": "the first file"}, "no prefix"),
        ({"store": "every PUT is denied", "stored": "the whole version", "cryo": "ends with 2"}, ""),
        ({"range": "no such range"}, "unknown value: range no such range"),
    ],
)
def test_what_is_impossible_has_a_reason(row: dict[str, str], reason: str):
    """The reason is in the coverage."""
    if reason:
        with pytest.raises(Impossible, match=reason):
            compose(row)
    else:
        assert compose(row).tasks[0].outcome == "success"
