"""The dispatcher's responses: both forms of a claim, unknown fields, and invalid responses."""

import json
from typing import Any

import pytest
from support.service_doubles import TASK_ID

from cryo_ingest.errors import BadPayload
from cryo_ingest.model import parse_task
from cryo_ingest.serve.ports import Claim, NotClaimed
from cryo_ingest.serve.responses import InvalidResponse, parse_claim, parse_renewal

HEADERS = {"Date": "Mon, 23 Nov 2026 12:00:00 GMT"}
LEASED: dict[str, Any] = {
    "attempt": 3,
    "lease_token": "l3ase-canary",
    "lease_expires_at": "2026-11-23T12:01:00.500Z",
    "capability_token": "c4pability-canary",
}
PAYLOAD = {"any": ["thing", 1.0, True]}
DOCUMENTED = LEASED | {
    "status": "Claimed",
    "task": {"task_id": TASK_ID, "attempt": 3, "operator": "cryo_ingest", "config": PAYLOAD},
}
LITE = LEASED | {"task_id": TASK_ID.upper(), "work_payload": PAYLOAD}


def parse(answer: object, headers: dict[str, str] = HEADERS) -> object:
    return parse_claim(json.dumps(answer).encode(), headers, task_id=TASK_ID, sent_at=7.0)


@pytest.mark.parametrize("form", [DOCUMENTED, LITE], ids=["documented", "lite"])
def test_lse_1_both_forms_of_a_claim_give_the_same_claim(form: dict[str, Any]):
    """LSE-1: unknown fields are ignored, and the payload is unchanged."""
    claim = parse(form | {"unknown": {"x": 1}})
    assert not isinstance(claim, NotClaimed)
    assert claim.assignment.task_id == TASK_ID
    assert claim.assignment.attempt == 3
    assert repr(claim.assignment.payload) == repr(PAYLOAD)
    assert (claim.lease_token, claim.capability_token) == ("l3ase-canary", "c4pability-canary")
    assert (claim.lease_period.sent_at, claim.lease_period.duration_seconds) == (7.0, 60.5)
    assert "canary" not in repr(claim)


def test_lse_1_a_task_that_cannot_be_claimed_is_not_an_error():
    """LSE-1: any reason is kept for the log."""
    assert parse({"status": "NotClaimed", "reason": "Canceled"}) == NotClaimed("Canceled")
    assert parse({"status": "NotClaimed"}) == NotClaimed("unknown")


def without(form: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in form.items() if name != field}


BAD = {
    "no object": [],
    "another status": DOCUMENTED | {"status": "Perhaps"},
    "no attempt": without(LITE, "attempt"),
    "an attempt that is no integer": LITE | {"attempt": "3"},
    "a boolean as attempt": LITE | {"attempt": True},
    "no token": without(DOCUMENTED, "capability_token"),
    "a token that is invalid in a header": LITE | {"capability_token": "c4pability-canary\r\nX: y"},
    "a time without an offset": LITE | {"lease_expires_at": "2026-11-23T12:01:00"},
    "no payload": without(LITE, "work_payload"),
    "another task": LITE | {"task_id": "0" * 8 + TASK_ID[8:]},
    "another task, documented": DOCUMENTED | {"task": DOCUMENTED["task"] | {"task_id": "x"}},
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_lse_5_an_invalid_claim_is_an_error_without_values(answer: object):
    """LSE-5, SEC-1: the message names only fields, since values may be tokens."""
    with pytest.raises(InvalidResponse) as caught:
        parse(answer)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'{"lease_expires_at": 5}', b"null"])
def test_lse_3_an_invalid_renewal_is_an_error(body: bytes):
    """LSE-3: it does not renew the lease."""
    with pytest.raises(InvalidResponse):
        parse_renewal(body, HEADERS, sent_at=0)


@pytest.mark.parametrize("headers", [{}, {"Date": "soon"}])
def test_lse_3_a_response_without_a_date_is_invalid(headers: dict[str, str]):
    """LSE-3: the worker's clock does not replace the dispatcher's; the message names the header."""
    with pytest.raises(InvalidResponse, match="Date"):
        parse(LITE, headers)


@pytest.mark.parametrize("form", [DOCUMENTED, LITE])
def test_pay_1_a_repeated_key_in_a_claimed_payload_is_named(form: dict[str, Any]):
    """PAY-1: the claim itself is valid, so that the task can be reported as failed."""
    body = json.dumps(form).replace('"any":', '"any": "another", "any":').encode()
    claim = parse_claim(body, HEADERS, task_id=TASK_ID, sent_at=1000.0)
    assert isinstance(claim, Claim)
    with pytest.raises(BadPayload, match="any: must appear once"):
        parse_task(claim.assignment.payload)
