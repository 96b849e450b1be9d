"""The platform's S3 by boto3: what each of its refusals means, and another try where it may pass."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from harness.reference.bugs import bug
from harness.reference.directory import DirectoryStore
from harness.reference.errors import BadConfiguration, Conflict, Fatal, PreconditionFailed, Retryable
from harness.reference.store import Entry, Store, Stored, glob

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.reference.cancellation import Guard
    from harness.reference.settings import Settings

T = TypeVar("T")
TRIES = 5
FIRST_PAUSE_SECONDS = 0.1
READ_TIMEOUT_SECONDS = 60
DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
PRECONDITION_FAILED = 412
CONFLICTS = {409, PRECONDITION_FAILED}
FORBIDDEN, NOT_FOUND, NOT_IMPLEMENTED, MOVED = 403, 404, 501, 301


def open_store(url: str | None, settings: Settings, guard: Guard) -> Store:
    """Open the store of a URL, by default the platform's bucket.

    Raises:
        BadConfiguration: there is neither a URL nor `S3_BUCKET`.
        ValueError: it is no store's URL.
    """
    if url is None:
        bucket = settings.environment.get("S3_BUCKET")
        if not bucket:
            raise BadConfiguration("S3_BUCKET must be set, or --store given")
        return S3Store(bucket, settings, guard)
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc and parts.path in {"", "/"}:
        return S3Store(parts.netloc, settings, guard)
    if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1:
        return DirectoryStore(Path(unquote(parts.path)), guard)
    raise ValueError("--store must be s3://bucket or file:///directory")


class S3Store:
    """One bucket."""

    def __init__(self, bucket: str, settings: Settings, guard: Guard) -> None:
        self._bucket, self._guard = bucket, guard
        self._client = s3_client(settings)

    def entries(self, prefix: str) -> dict[str, Entry]:
        """List every key below a prefix."""
        found: dict[str, Entry] = {}
        token: dict[str, str] = {}
        while True:
            page = self._page(prefix, token)
            found |= {item["Key"]: Entry(item["ETag"], item["Size"]) for item in page.get("Contents", ())}
            if not page.get("IsTruncated"):
                return found
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, prefix: str, token: dict[str, str]) -> dict[str, Any]:
        return self._ask(lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token))

    def get(self, key: str) -> Stored | None:
        """Return an object; None if it is gone."""

        def read() -> Stored:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            with contextlib.closing(answer["Body"]) as body:
                return Stored(body.read(), answer["ETag"], answer.get("Metadata", {}))

        try:
            return self._ask(read)
        except _Missing:
            return None

    def create(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        """Store an object where there is none."""
        self._put(key, body, metadata, {} if bug("overwrites-what-is-stored") else {"IfNoneMatch": "*"})

    def replace(self, key: str, body: bytes, metadata: dict[str, str], etag: str) -> None:
        """Store an object in place of the one with this ETag; some stores want it without its quotes."""
        if bug("overwrites-what-is-stored"):
            self._put(key, body, metadata, {})
            return
        forms = [etag] if bug("quotes-etags-only") else [etag, etag.strip('"')]
        for form in forms:
            try:
                self._put(key, body, metadata, {"IfMatch": form})
            except PreconditionFailed:
                there = self.entries(key).get(key)
                if there is None or there.etag != etag:
                    raise
            else:
                return
        if bug("quotes-etags-only"):
            raise Conflict(f"{key} is another")
        raise Fatal(f"the object store refuses to replace {key} by the ETag that it lists: it has no usable If-Match")

    def _put(self, key: str, body: bytes, metadata: dict[str, str], condition: dict[str, str]) -> None:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        checksum = {} if bug("sends-no-checksum") else {"ChecksumSHA256": digest}
        metadata = {} if bug("no-object-metadata") else metadata
        try:
            self._ask(
                lambda: self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, Metadata=metadata, **checksum, **condition
                )
            )
        except _Missing:
            raise Conflict(f"{key} is gone") from None

    def delete(self, key: str) -> None:
        """Delete an object, there or not."""
        self._ask(lambda: self._client.delete_object(Bucket=self._bucket, Key=key))

    def reference(self, prefix: str) -> dict[str, str]:
        """Return the storage reference of PUB-2."""
        return {"scheme": "s3", "bucket": self._bucket, "prefix": prefix, "glob": glob()}

    def _ask(self, request: Callable[[], T]) -> T:
        """Make a request; the store's passing faults are met with another try."""
        from botocore.exceptions import (  # noqa: PLC0415 - half a second, paid only for S3
            BotoCoreError,
            ClientError,
            NoCredentialsError,
            PartialCredentialsError,
        )

        problem = ""
        for attempt in range(TRIES):
            if attempt:
                self._guard.pause(FIRST_PAUSE_SECONDS * 2**attempt)
            self._guard.check()
            try:
                return request()
            except (NoCredentialsError, PartialCredentialsError):
                raise Fatal(
                    "the object store needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                ) from None
            except ClientError as error:
                problem = self._map(error)
            except (BotoCoreError, OSError) as error:
                problem = f"no answer ({type(error).__name__})"
        error_class = Fatal if bug("store-faults-are-fatal") else Retryable
        raise error_class(f"the object store failed {TRIES} times: {problem}")

    def _map(self, error: Any) -> str:
        """Raise what a refusal means, or return the words for one that may pass."""
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        operation = error.operation_name
        if code == "NoSuchBucket" or status == MOVED:
            raise Fatal(f"there is no bucket {self._bucket} at this store, or it lies in another region ({code})")
        if code == "RequestTimeTooSkewed" and not bug("clock-skew-is-fatal"):
            raise Retryable(
                f"this machine's clock differs from the object store's{_skew(error)}; set the clock ({code})"
            )
        if code == "ExpiredToken" and not bug("expired-token-is-fatal"):
            raise Retryable(f"the token for the object store has expired; renew AWS_SESSION_TOKEN ({code})")
        if status == FORBIDDEN or code in DENIED:
            raise Fatal(f"the object store denied {operation}: access denied ({code}); see the worker's permissions")
        if status == NOT_FOUND:
            raise _Missing
        if status in CONFLICTS and operation == "PutObject":
            if bug("precondition-failed-is-fatal"):
                raise Fatal(f"the object store answered {status} to {operation}")
            raise PreconditionFailed(code) if status == PRECONDITION_FAILED else Conflict(code)
        if status == NOT_IMPLEMENTED:
            raise Fatal(f"the object store does not have what {operation} needs: conditional writes")
        return f"{operation} was answered with {status} {code}"


class _Missing(Exception):
    """There is no such key."""


def _skew(error: Any) -> str:
    """Return by how many seconds the clocks differ, as words; nothing where the answer does not tell the time."""
    try:
        date = parsedate_to_datetime(error.response["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError):
        return ""
    return f" by {abs(date.timestamp() - time.time()):.0f} s"


def s3_client(settings: Settings, service: str = "s3", endpoint: str = "S3_ENDPOINT") -> Any:
    """Return a client of the platform's S3 or SQS; keys come from AWS's usual chain. It never retries by itself."""
    import boto3  # noqa: PLC0415 - half a second, paid only by who needs it
    from botocore.config import Config  # noqa: PLC0415 - as above

    given = settings.environment.get
    return boto3.session.Session().client(
        service,
        endpoint_url=given(endpoint) or None,
        region_name=given("AWS_REGION") or "us-east-1",
        config=Config(
            s3={"addressing_style": "path"} if given(endpoint) else {},
            retries={"total_max_attempts": 1},
            connect_timeout=10,
            read_timeout=READ_TIMEOUT_SECONDS,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
