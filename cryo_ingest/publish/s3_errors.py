"""What a fault of obstore's means to an attempt: the one place where its exceptions become `cryo_ingest.errors`.

A foreign message can hold an endpoint, an access key, a page of HTML or words that a key happens to contain. So it is
read only where its form is known, and nothing of it is passed on but the HTTP status and S3's own error code. The forms
were observed with obstore 0.12 against moto, MinIO and scripted answers (tests/cryo_ingest/publish/test_s3_errors.py).
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
    UnmanageableKey,
)
from cryo_ingest.publish.s3_clock import difference_in_answer

PERMISSIONS = {"list": "s3:ListBucket", "get": "s3:GetObject", "put": "s3:PutObject", "delete": "s3:DeleteObject"}

DENIED_CODES = {
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "InvalidAccessKeyId", "InvalidToken",
    "InvalidTokenId", "SignatureDoesNotMatch",
}  # fmt: skip

CLOCK_CODES = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpiredToken"}
"""What passes once the clock is right, or the credentials are renewed: the attempt need not be lost for it."""

WRONG_PLACE_CODES = {
    "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidBucketName", "NoSuchBucket",
    "PermanentRedirect",
}  # fmt: skip
"""Answers of AWS to a bucket that is elsewhere, in another region among them, or that can't exist."""

INSTANCE_METADATA_PATH = "/latest/"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of which store: enough to say what an answer means."""

    operation: str
    key: str
    bucket: str
    endpoint: str


def mapped_error(error: BaseException, asked: Asked) -> IngestError:
    """Return our error for one of obstore's."""
    words = str(error).partition("Debug source")[0]
    status = _first(r"Server returned non-2xx status code: (\d{3})", words)
    code = _first(r"<Code>(\w+)</Code>", words) or _first(r"\(code: (\w+)\)", words)
    reason = " ".join(part for part in (f"HTTP {status}" if status else "", code or "") if part)
    url = _first(r"Error performing [A-Z]+ (\S+) in ", words)
    if isinstance(error, NotImplementedError) or code == "NotImplemented" or status == "501":
        operation = "a conditional PUT" if asked.operation == "put" else asked.operation
        return StoreUnfit(operation=operation, reason=reason or "it is switched off")
    if "object with invalid path" in words:
        return UnmanageableKey(prefix=asked.key, key=_first(r'Path "([^"\n]{1,1024})"', words))
    if (url is not None and _host(url) != _host(asked.endpoint)) or _names_missing_credentials(words):
        return _no_credentials(asked, status=status, url=url)
    if code in WRONG_PLACE_CODES or "redirect without LOCATION" in words:
        return NoSuchBucket(bucket=asked.bucket, reason=reason or "the store redirects elsewhere")
    if code in CLOCK_CODES | EXPIRED_CODES | DENIED_CODES or status in {"401", "403"}:
        return _refused(asked, reason, code, words)
    if not reason:
        reason = "no connection" if "sending request" in words else "the request failed"
    return _unavailable(asked, reason)


def _no_credentials(asked: Asked, *, status: str | None, url: str | None) -> IngestError:
    """Tell a chain that has no credentials, which somebody has to change, from one that fails for now.

    Only the place that grants credentials was asked, never the store. An instance without metadata service does not
    answer at all, and one without a role answers 404.
    """
    where = "the credential chain of AWS"
    if status and (status == "429" or status.startswith("5")):
        return _unavailable(asked, f"HTTP {status} from {where}")
    if url is not None and status is None and INSTANCE_METADATA_PATH not in url:
        return _unavailable(asked, f"no connection to {where}")
    found = f"HTTP {status} from {where}" if status else f"no credentials in {where}"
    reason = f"{found}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the task or instance a role"
    return StoreDenied(operation=asked.operation, key=asked.key, reason=reason)


def _refused(asked: Asked, reason: str, code: str | None, words: str) -> IngestError:
    if code in CLOCK_CODES:
        return ClockSkewed(difference_seconds=difference_in_answer(words))
    if code in EXPIRED_CODES:
        return CredentialsExpired(code=code or "")
    return _denied(asked, reason, code)


def _denied(asked: Asked, reason: str, code: str | None) -> StoreDenied:
    """Name the permission where one is missing; a refused signature or token is a matter of the keys alone."""
    wanted = f" ({PERMISSIONS[asked.operation]} is needed)" if code in {None, "AccessDenied"} else ""
    return StoreDenied(operation=asked.operation, key=asked.key, reason=f"{reason or 'refused'}{wanted}")


def _unavailable(asked: Asked, reason: str) -> StoreUnavailable:
    return StoreUnavailable(operation=asked.operation, key=asked.key, reason=reason)


def _names_missing_credentials(words: str) -> bool:
    """Tell whether obstore could not even begin: half a pair of keys, or a role's token file that is not there."""
    return re.search(r"^Generic S3 error: (Missing \w+Key|Failed to read (EKS )?token file)", words) is not None


def _host(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None
