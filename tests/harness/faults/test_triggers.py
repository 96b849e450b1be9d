"""Triggers match the text of events."""

import pytest

from harness.faults import Trigger
from harness.history import StoreResponse


@pytest.mark.parametrize(("match", "matches"), [("k 503", False), (" 503 ", True), ("PUT k", True), ("404", False)])
def test_a_trigger_searches_key_operation_and_both_statuses(match: str, *, matches: bool):
    """The status that the worker received is searched, also if the store itself sent another one."""
    event = StoreResponse(
        number=2,
        at=0.1,
        kind="object_put",
        request_number=1,
        operation="PUT",
        key="k",
        status=200,
        delivered_status=503,
    )
    assert Trigger(event="object_put", match=match, do="SIGKILL").matches(event) is matches
