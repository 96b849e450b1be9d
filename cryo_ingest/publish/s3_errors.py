"""Maps the exceptions of obstore to `cryo_ingest.errors`.

A foreign message can contain an endpoint, an access key, HTML, or any words that are part of a key. So only known forms
of messages are read, and only the HTTP status and S3's error code are repeated. The forms were observed with obstore
0.12 on moto, MinIO and scripted responses (tests/cryo_ingest/publish/test_s3_errors.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryo_ingest.errors import (
    ClockSkewed,
    CredentialsExpired,
    IngestError,
    NoSuchBucket,
    StoreDenied,
    StoreUnavailable,
    StoreUnfit,
    UnsupportedKey,
)
from cryo_ingest.publish.s3_clock import difference_in_error

PERMISSIONS = {"list": "s3:ListBucket", "get": "s3:GetObject", "put": "s3:PutObject", "delete": "s3:DeleteObject"}

DENIED_CODES = {
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "InvalidAccessKeyId", "InvalidToken",
    "InvalidTokenId", "SignatureDoesNotMatch",
}  # fmt: skip

CLOCK_CODES = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpiredToken"}
"""Errors that end when the clock is corrected, or the credentials are renewed, so they are retryable."""

NO_BUCKET_CODES = {
    "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidBucketName", "NoSuchBucket",
    "PermanentRedirect",
}  # fmt: skip
"""AWS's errors for a bucket in another region or account, or with an impossible name."""

INSTANCE_METADATA_PATH = "/latest/"


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """The request that failed."""

    operation: str
    key: str
    bucket: str
    endpoint: str


def mapped_error(error: BaseException, request: StoreRequest) -> IngestError:
    """Return the error of `cryo_ingest.errors` for an error of obstore."""
    text = str(error).partition("Debug source")[0]
    status = _first(r"Server returned non-2xx status code: (\d{3})", text)
    code = _first(r"<Code>(\w+)</Code>", text) or _first(r"\(code: (\w+)\)", text)
    reason = " ".join(part for part in (f"HTTP {status}" if status else "", code or "") if part)
    url = _first(r"Error performing [A-Z]+ (\S+) in ", text)
    if isinstance(error, NotImplementedError) or code == "NotImplemented" or status == "501":
        operation = "a conditional PUT" if request.operation == "put" else request.operation
        return StoreUnfit(operation=operation, reason=reason or "it is turned off")
    if "object with invalid path" in text:
        return UnsupportedKey(prefix=request.key, key=_first(r'Path "([^"\n]{1,1024})"', text))
    if (url is not None and _host(url) != _host(request.endpoint)) or _lacks_credentials(text):
        return _no_credentials(request, status=status, url=url)
    if code in NO_BUCKET_CODES or "redirect without LOCATION" in text:
        return NoSuchBucket(bucket=request.bucket, reason=reason or "the store redirects elsewhere")
    if code in CLOCK_CODES | EXPIRED_CODES | DENIED_CODES or status in {"401", "403"}:
        return _rejected(request, reason, code, text)
    if not reason:
        no_connection = f"no connection to {request.endpoint}: check S3_ENDPOINT and the network"
        reason = no_connection if "sending request" in text else "the request failed"
    return _unavailable(request, reason)


def _no_credentials(request: StoreRequest, *, status: str | None, url: str | None) -> IngestError:
    """Distinguish a chain without credentials, which is fatal, from one that fails temporarily.

    The failed request went to a source of credentials, not to the store. An instance without a metadata service does
    not answer, and one without a role answers 404.
    """
    where = "the credential chain of AWS"
    if status and (status == "429" or status.startswith("5")):
        return _unavailable(request, f"HTTP {status} from {where}")
    if url is not None and status is None and INSTANCE_METADATA_PATH not in url:
        return _unavailable(request, f"no connection to {where}")
    problem = f"HTTP {status} from {where}" if status else f"no credentials in {where}"
    reason = f"{problem}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the task or instance a role"
    return StoreDenied(operation=request.operation, key=request.key, reason=reason)


def _rejected(request: StoreRequest, reason: str, code: str | None, text: str) -> IngestError:
    if code in CLOCK_CODES:
        return ClockSkewed(difference_seconds=difference_in_error(text))
    if code in EXPIRED_CODES:
        return CredentialsExpired(code=code or "")
    return _denied(request, reason, code)


def _denied(request: StoreRequest, reason: str, code: str | None) -> StoreDenied:
    """Name the permission if it may be missing; a rejected signature or token only depends on the keys."""
    permission = f" ({PERMISSIONS[request.operation]} is needed)" if code in {None, "AccessDenied"} else ""
    return StoreDenied(operation=request.operation, key=request.key, reason=f"{reason or 'rejected'}{permission}")


def _unavailable(request: StoreRequest, reason: str) -> StoreUnavailable:
    return StoreUnavailable(operation=request.operation, key=request.key, reason=reason)


def _lacks_credentials(text: str) -> bool:
    """Return whether obstore could not send the request: a key of a pair or a role's token file is missing."""
    return re.search(r"^Generic S3 error: (Missing \w+Key|Failed to read (EKS )?token file)", text) is not None


def _host(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None
