"""Parses the dispatcher's responses: both forms of a claim, and renewals; unknown fields are ignored.

No message repeats a value, since responses contain tokens.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cryo_ingest.model import Assignment, mark_repeated_keys
from cryo_ingest.serve.ports import Claim, LeasePeriod, NotClaimed

if TYPE_CHECKING:
    from collections.abc import Mapping

M = TypeVar("M", bound=BaseModel)

Token = Annotated[str, Field(pattern=r"^[!-~]+\Z")]
"""Visible ASCII only, since it is sent in a header."""

AttemptNumber = Annotated[int, Field(ge=0)]


class InvalidResponse(Exception):
    """A response breaks the contract; the message names the problem, never a value."""


class _Response(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", hide_input_in_errors=True, regex_engine="python-re"
    )


class _Leased(_Response):
    attempt: AttemptNumber
    lease_token: Token
    lease_expires_at: AwareDatetime
    capability_token: Token


class _DocumentedTask(_Response):
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


class _NotClaimed(_Response):
    status: Literal["NotClaimed"]
    reason: str = Field(default="unknown", max_length=100)


class _Renewed(_Response):
    lease_expires_at: AwareDatetime


class _Status(_Response):
    status: str | None = None


def parse_claim(body: bytes, headers: Mapping[str, str], *, task_id: str, sent_at: float) -> Claim | NotClaimed:
    """Return the claim in a response with status 200, in either form.

    Raises:
        InvalidResponse: there is none, or it is for another task.
    """
    status = _parse(_Status, body).status
    if status == "NotClaimed":
        return NotClaimed(_parse(_NotClaimed, body).reason)
    leased: _Claimed | _Lite
    if status is None:
        leased = lite = _parse(_Lite, body)
        claimed_id, payload = lite.task_id, _load(body)["work_payload"]
    else:
        leased = documented = _parse(_Claimed, body)
        claimed_id, payload = documented.task.task_id, _load(body)["task"]["config"]
    if claimed_id.lower() != task_id:
        message = "it is about another task"
        raise InvalidResponse(message)
    return Claim(
        assignment=Assignment(task_id, leased.attempt, payload),
        lease_period=_grant(leased.lease_expires_at, headers, sent_at=sent_at),
        lease_token=leased.lease_token,
        capability_token=leased.capability_token,
    )


def parse_renewal(body: bytes, headers: Mapping[str, str], *, sent_at: float) -> LeasePeriod:
    """Return the lease in a response with status 200 to a heartbeat.

    Raises:
        InvalidResponse: there is none.
    """
    return _grant(_parse(_Renewed, body).lease_expires_at, headers, sent_at=sent_at)


def _parse(model: type[M], body: bytes) -> M:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False, include_context=False)
        problems = {".".join(map(str, detail["loc"])) or "body": detail["type"] for detail in details}
        raise InvalidResponse("; ".join(f"{field}: {problem}" for field, problem in problems.items())) from None


def _load(body: bytes) -> Any:
    """Parse valid JSON again and mark repeated keys, which are an error in a payload."""
    return json.loads(body, object_pairs_hook=mark_repeated_keys)


def _grant(lease_expires_at: datetime, headers: Mapping[str, str], *, sent_at: float) -> LeasePeriod:
    try:
        date = parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError, OverflowError):
        message = "it has no valid Date header, from which the lease is counted"
        raise InvalidResponse(message) from None
    if date.tzinfo is None:  # RFC 2822's "-0000"; an HTTP date is always in UTC
        date = date.replace(tzinfo=UTC)
    return LeasePeriod(sent_at, (lease_expires_at - date).total_seconds())
