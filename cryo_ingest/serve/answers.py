"""The dispatcher's answers, parsed: both forms of a claim in, our own values out, unknown fields ignored.

No message here repeats a value, since answers hold tokens.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cryo_ingest.model import Assignment, mark_repeated_keys
from cryo_ingest.serve.ports import Claim, Grant, NotClaimed

if TYPE_CHECKING:
    from collections.abc import Mapping

A = TypeVar("A", bound=BaseModel)

Token = Annotated[str, Field(pattern=r"^[!-~]+\Z")]
"""Visible ASCII only: it has to fit into a header."""

AttemptNumber = Annotated[int, Field(ge=0)]


class InvalidResponse(Exception):
    """An answer that the contract does not have; the message names what is wrong with it, never a value."""


class _Answer(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", hide_input_in_errors=True, regex_engine="python-re"
    )


class _Leased(_Answer):
    attempt: AttemptNumber
    lease_token: Token
    lease_expires_at: AwareDatetime
    capability_token: Token


class _DocumentedTask(_Answer):
    task_id: str
    config: Any


class _Claimed(_Leased):
    """The documented form."""

    status: Literal["Claimed"]
    task: _DocumentedTask


class _Lite(_Leased):
    """The lite form, which has no status."""

    task_id: str
    work_payload: Any


class _NotClaimed(_Answer):
    status: Literal["NotClaimed"]
    reason: str = Field(default="unknown", max_length=100)


class _Renewed(_Answer):
    lease_expires_at: AwareDatetime


class _Status(_Answer):
    status: str | None = None


def parse_claim(body: bytes, headers: Mapping[str, str], *, task_id: str, sent_at: float) -> Claim | NotClaimed:
    """Return the claim that an answer of status 200 holds, in either form.

    Raises:
        InvalidResponse: it holds none, or one of another task.
    """
    status = _parse(_Status, body).status
    if status == "NotClaimed":
        return NotClaimed(_parse(_NotClaimed, body).reason)
    leased: _Claimed | _Lite
    if status is None:
        leased = lite = _parse(_Lite, body)
        claimed_id, payload = lite.task_id, _again(body)["work_payload"]
    else:
        leased = documented = _parse(_Claimed, body)
        claimed_id, payload = documented.task.task_id, _again(body)["task"]["config"]
    if claimed_id.lower() != task_id:
        message = "it is about another task"
        raise InvalidResponse(message)
    return Claim(
        assignment=Assignment(task_id, leased.attempt, payload),
        grant=_grant(leased.lease_expires_at, headers, sent_at=sent_at),
        lease_token=leased.lease_token,
        capability_token=leased.capability_token,
    )


def parse_renewal(body: bytes, headers: Mapping[str, str], *, sent_at: float) -> Grant:
    """Return the lease that an answer of status 200 to a heartbeat grants.

    Raises:
        InvalidResponse: it grants none.
    """
    return _grant(_parse(_Renewed, body).lease_expires_at, headers, sent_at=sent_at)


def _parse(model: type[A], body: bytes) -> A:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False, include_context=False)
        problems = {".".join(map(str, detail["loc"])) or "body": detail["type"] for detail in details}
        raise InvalidResponse("; ".join(f"{field}: {problem}" for field, problem in problems.items())) from None


def _again(body: bytes) -> Any:
    """Parse JSON that is known to be good so that keys which appear twice are kept: in a payload they are an error."""
    return json.loads(body, object_pairs_hook=mark_repeated_keys)


def _grant(lease_expires_at: datetime, headers: Mapping[str, str], *, sent_at: float) -> Grant:
    try:
        answered = parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError, OverflowError):
        message = "it has no Date header that can be read, from which the lease is counted"
        raise InvalidResponse(message) from None
    if answered.tzinfo is None:  # RFC 2822's "-0000"; an HTTP date is always in UTC
        answered = answered.replace(tzinfo=UTC)
    return Grant(sent_at, (lease_expires_at - answered).total_seconds())
