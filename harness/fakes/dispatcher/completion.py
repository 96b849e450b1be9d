"""The rules for a completion: outcome and status must agree, and the publication must fit the payload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.contract import payload_is_valid
from harness.fakes.dispatcher.publication import difference
from harness.fakes.dispatcher.wire import STATUS_OF, RequestRejected


def check_completion(fields: Mapping[str, Any], payload: Mapping[str, Any], bucket: str | None) -> None:
    """Check a well-formed completion against the task's payload.

    Raises:
        RequestRejected: with 400 if it contradicts itself, with 409 if the publication does not fit the payload.
    """
    outcome, published = fields["outcome"], fields["datasets_published"]
    if outcome not in STATUS_OF:
        raise RequestRejected(400, f"outcome {outcome!r} is none of {', '.join(STATUS_OF)}", clause="OUT-1")
    if fields["status"] != STATUS_OF[outcome]:
        raise RequestRejected(400, f"status {fields['status']!r} contradicts outcome {outcome!r}", clause="OUT-1")
    if fields["error_message"] is not None and not isinstance(fields["error_message"], str):
        raise RequestRejected(400, "error_message is neither null nor text", clause="OUT-1")
    if outcome != "success":
        if published:
            raise RequestRejected(400, "an attempt that failed publishes nothing", clause="PUB-3")
        return
    if fields["error_message"] is not None:
        raise RequestRejected(400, "a success has no error_message", clause="OUT-1")
    if len(published) != 1:
        raise RequestRejected(400, f"a success publishes exactly one dataset, not {len(published)}", clause="PUB-1")
    if not payload_is_valid(payload):
        raise RequestRejected(409, "nothing can be published for this payload, which is not valid", clause="PAY-2")
    differences = difference(payload, published[0], bucket)
    if differences:
        raise RequestRejected(409, "; ".join(text for _, text in differences), clause=differences[0][0])
