"""Which matches a fault applies to, and what a script counts."""

from typing import Any

import pytest

from harness.faults import Occurrence, Script, StoreFault
from harness.faults.rpc import Status


@pytest.mark.parametrize(
    ("occurrence", "applies_to"),
    [
        (Occurrence(), [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Occurrence(times=1), [1]),
        (Occurrence(nth=3), [3, 4, 5, 6, 7, 8, 9]),
        (Occurrence(nth=3, times=2), [3, 4]),
        (Occurrence(nth=2, every=3), [2, 5, 8]),
        (Occurrence(nth=3, every=3, times=2), [3, 6]),
    ],
)
def test_a_fault_applies_to_the_nth_match_and_each_everyth_after_it(occurrence: Occurrence, applies_to: list[int]):
    """`times` limits how often; without it the fault never ends."""
    assert [count for count in range(1, 10) if occurrence.includes(count)] == applies_to


@pytest.mark.parametrize("field", ["nth", "every", "times"])
def test_counts_begin_at_1(field: str):
    """A count below 1 is an error that names the field."""
    with pytest.raises(ValueError, match=field):
        Occurrence(**{field: 0})


def test_each_fault_counts_its_own_matches():
    """Only what matches a fault is counted for it, and all faults that apply are returned in the script's order."""
    first, second = Status(500, method="a", nth=2, times=1), Status(503)
    script = Script([first, second])
    assert script.fire(lambda fault: fault.method is None) == [second]
    assert script.fire(lambda _: True) == [second]
    assert script.unfired == [first]
    assert script.fire(lambda _: True) == [first, second]
    assert script.unfired == []


def test_the_first_fault_that_applies_is_the_only_one_fired():
    """If one fault applies to a request, the others count the request but have not fired."""
    first, second = Status(500, times=1), Status(503, nth=2)
    script = Script([first, second])
    assert [script.fire_first(lambda _: True) for _ in range(2)] == [first, second]
    third = Status(404)
    script.extend([third])
    assert script.fire_first(lambda _: True) is second
    assert script.unfired == [third]


@pytest.mark.parametrize(
    ("fault", "method", "path", "query", "matched"),
    [
        (StoreFault(operation="put", key="parquet$"), "PUT", "/bucket/a.parquet", "", True),
        (StoreFault(operation="put", key="^a"), "PUT", "/bucket/b/a", "", False),
        (StoreFault(operation="get"), "GET", "/bucket/a", "", True),
        (StoreFault(operation="get"), "HEAD", "/bucket/a", "", False),
        (StoreFault(operation="get"), "GET", "/bucket/", "list-type=2", False),
        (StoreFault(operation="list"), "GET", "/bucket", "list-type=2", True),
        (StoreFault(operation="delete"), "POST", "/bucket", "delete", True),
        (StoreFault(operation="delete"), "POST", "/bucket/a", "uploads", False),
        (StoreFault(operation="any"), "HEAD", "/bucket/a", "", True),
        (StoreFault(operation="any"), "GET", "/", "", False),
        (StoreFault(operation="put", replacing=True), "PUT", "/bucket/a", "", False),
        (StoreFault(operation="put", do="ignore-conditions"), "PUT", "/bucket/a", "", True),
    ],
)
def test_a_store_fault_matches_requests_of_its_operation(
    fault: StoreFault, method: str, path: str, query: str, *, matched: bool
):
    """The operation, the key and the conditions decide; the bucket's name does not matter."""
    assert fault.matches(method, path, query, {"If-None-Match": "*"}) is matched


@pytest.mark.parametrize("wrong", [{"do": "status"}, Occurrence(), None])
def test_what_is_not_a_fault_is_rejected_when_it_is_added(wrong: Any):
    """Otherwise it would fail in the server, at some later request."""
    script: Script[Any] = Script()
    with pytest.raises(TypeError, match="is not a fault"):
        script.extend([Status(code=503), wrong])
    assert script.faults == []
