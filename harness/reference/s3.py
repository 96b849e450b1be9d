"""The platform's S3 on boto3: the meaning of its errors, and retries of temporary ones."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from harness.reference.bugs import has_bug
from harness.reference.directory import DirectoryStore
from harness.reference.errors import BadConfiguration, Conflict, Fatal, PreconditionFailed, Retryable
from harness.reference.store import Entry, Store, Stored, glob

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.reference.cancellation import Cancellation
    from harness.reference.settings import Settings

T = TypeVar("T")
TRIES = 5
FIRST_PAUSE_SECONDS = 0.1
READ_TIMEOUT_SECONDS = 60
DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
PRECONDITION_FAILED = 412
CONFLICTS = {409, PRECONDITION_FAILED}
FORBIDDEN, NOT_FOUND, NOT_IMPLEMENTED, MOVED = 403, 404, 501, 301


def open_store(url: str | None, settings: Settings, cancellation: Cancellation) -> Store:
    """Open the store of a URL, by default the platform's bucket.

    Raises:
        BadConfiguration: neither a URL nor `S3_BUCKET` is given.
        ValueError: the URL is not that of a store.
    """
    if url is None:
        bucket = settings.environment.get("S3_BUCKET")
        if not bucket:
            raise BadConfiguration("S3_BUCKET must be set, or --store given")
        return S3Store(bucket, settings, cancellation)
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc and parts.path in {"", "/"}:
        return S3Store(parts.netloc, settings, cancellation)
    if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1:
        return DirectoryStore(Path(unquote(parts.path)), cancellation)
    raise ValueError("--store must be s3://bucket or file:///directory")


class S3Store:
    """One bucket."""

    def __init__(self, bucket: str, settings: Settings, cancellation: Cancellation) -> None:
        self._bucket, self._cancellation = bucket, cancellation
        self._client = s3_client(settings)

    def entries(self, prefix: str) -> dict[str, Entry]:
        """List every key below a prefix."""
        entries: dict[str, Entry] = {}
        token: dict[str, str] = {}
        while True:
            page = self._page(prefix, token)
            entries |= {item["Key"]: Entry(item["ETag"], item["Size"]) for item in page.get("Contents", ())}
            if not page.get("IsTruncated"):
                return entries
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, prefix: str, token: dict[str, str]) -> dict[str, Any]:
        return self._ask(lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token))

    def get(self, key: str) -> Stored | None:
        """Return an object, or None if it does not exist."""

        def read() -> Stored:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            with contextlib.closing(answer["Body"]) as body:
                return Stored(body.read(), answer["ETag"], answer.get("Metadata", {}))

        try:
            return self._ask(read)
        except _Missing:
            return None

    def create(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        """Store an object that does not exist yet."""
        self._put(key, body, metadata, {} if has_bug("overwrites-what-is-stored") else {"IfNoneMatch": "*"})

    def replace(self, key: str, body: bytes, metadata: dict[str, str], etag: str) -> None:
        """Replace the object that has this ETag; some stores accept it only without quotes."""
        if has_bug("overwrites-what-is-stored"):
            self._put(key, body, metadata, {})
            return
        forms = [etag] if has_bug("quotes-etags-only") else [etag, etag.strip('"')]
        for form in forms:
            try:
                self._put(key, body, metadata, {"IfMatch": form})
            except PreconditionFailed:
                listed = self.entries(key).get(key)
                if listed is None or listed.etag != etag:
                    raise
            else:
                return
        if has_bug("quotes-etags-only"):
            raise Conflict(f"{key} has changed")
        raise Fatal(f"the object store rejects If-Match with the ETag that it lists for {key}: use another store")

    def _put(self, key: str, body: bytes, metadata: dict[str, str], condition: dict[str, str]) -> None:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        checksum = {} if has_bug("sends-no-checksum") else {"ChecksumSHA256": digest}
        metadata = {} if has_bug("no-object-metadata") else metadata
        try:
            self._ask(
                lambda: self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, Metadata=metadata, **checksum, **condition
                )
            )
        except _Missing:
            raise Conflict(f"{key} is gone") from None

    def delete(self, key: str) -> None:
        """Delete an object, if it exists."""
        self._ask(lambda: self._client.delete_object(Bucket=self._bucket, Key=key))

    def reference(self, prefix: str) -> dict[str, str]:
        """Return the storage reference of PUB-2."""
        return {"scheme": "s3", "bucket": self._bucket, "prefix": prefix, "glob": glob()}

    def _ask(self, request: Callable[[], T]) -> T:
        """Send a request; repeat it after temporary errors."""
        from botocore.exceptions import (  # noqa: PLC0415 - takes half a second, needed only for S3
            BotoCoreError,
            ClientError,
            NoCredentialsError,
            PartialCredentialsError,
        )

        problem = ""
        for attempt in range(TRIES):
            if attempt:
                self._cancellation.pause(FIRST_PAUSE_SECONDS * 2**attempt)
            self._cancellation.check()
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
        error_class = Fatal if has_bug("store-faults-are-fatal") else Retryable
        raise error_class(f"the object store failed {TRIES} times: {problem}")

    def _map(self, error: Any) -> str:
        """Raise the error that an answer means, or return the text of a temporary one."""
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        operation = error.operation_name
        if code == "NoSuchBucket" or status == MOVED:
            raise Fatal(f"there is no bucket {self._bucket} at this store, or it is in another region ({code})")
        if code == "RequestTimeTooSkewed" and not has_bug("clock-skew-is-fatal"):
            raise Retryable(
                f"this machine's clock differs from the object store's{_skew(error)}; set the clock ({code})"
            )
        if code == "ExpiredToken" and not has_bug("expired-token-is-fatal"):
            raise Retryable(f"the token for the object store has expired; renew AWS_SESSION_TOKEN ({code})")
        if status == FORBIDDEN or code in DENIED:
            raise Fatal(f"the object store denied {operation}: access denied ({code}); check the worker's permissions")
        if status == NOT_FOUND:
            raise _Missing
        if status in CONFLICTS and operation == "PutObject":
            if has_bug("precondition-failed-is-fatal"):
                raise Fatal(f"the object store answered {status} to {operation}")
            raise PreconditionFailed(code) if status == PRECONDITION_FAILED else Conflict(code)
        if status == NOT_IMPLEMENTED:
            raise Fatal(f"the object store does not support conditional writes, which {operation} needs")
        return f"{operation} was answered with {status} {code}"


class _Missing(Exception):
    """The key does not exist."""


def _skew(error: Any) -> str:
    """Return by how many seconds the clocks differ, as text; empty if the answer has no date."""
    try:
        date = parsedate_to_datetime(error.response["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError):
        return ""
    return f" by {abs(date.timestamp() - time.time()):.0f} s"


def s3_client(settings: Settings, service: str = "s3", endpoint: str = "S3_ENDPOINT") -> Any:
    """Return a client of the platform's S3 or SQS without retries; keys come from the usual AWS sources."""
    import boto3  # noqa: PLC0415 - takes half a second, needed only for S3 and SQS
    from botocore.config import Config  # noqa: PLC0415 - as above

    variable = settings.environment.get
    return boto3.session.Session().client(
        service,
        endpoint_url=variable(endpoint) or None,
        region_name=variable("AWS_REGION") or "us-east-1",
        config=Config(
            s3={"addressing_style": "path"} if variable(endpoint) else {},
            retries={"total_max_attempts": 1},
            connect_timeout=10,
            read_timeout=READ_TIMEOUT_SECONDS,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
