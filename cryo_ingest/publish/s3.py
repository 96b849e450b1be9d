"""An S3 bucket behind the `ObjectStore` port, through obstore: one PUT an object, conditional, checked by the store.

Its faults are mapped to our errors here, once. A foreign message can hold an endpoint or an access key, so none is
passed on: only the operation, the key, the HTTP status and S3's own error code are.
"""

from __future__ import annotations

import asyncio
import mmap
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryo_ingest.errors import IngestError, NoSuchBucket, StoreDenied, StoreUnavailable, StoreUnfit
from cryo_ingest.model import StorageRef
from cryo_ingest.ports import AlreadyStored, Changed, StoredObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping

    from cryo_ingest.settings import S3Settings

DEFAULT_REGION = "us-east-1"

BASE_TIMEOUT_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 1024**2
"""A request may take 60 s and its size at 1 MiB/s: obstore's own 30 s are too short for an uplink (architecture.md)."""

LONGEST_REQUEST = timedelta(hours=2)
"""Above every timeout that we set ourselves (5 GiB at 1 MiB/s is 86 minutes), so that obstore's never cuts in first."""

RETRIES: dict[str, Any] = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}
"""For 5xx, 429 and connection faults. A PUT whose answer was lost comes back as AlreadyStored, which callers settle."""

READ_BYTES = 4 * 1024**2

DENIED_CODES = {
    "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AllAccessDisabled",
}  # fmt: skip

PERMISSIONS = {"list": "s3:ListBucket", "get": "s3:GetObject", "put": "s3:PutObject", "delete": "s3:DeleteObject"}


class S3ObjectStore:
    """The objects of one bucket; see `ports.ObjectStore`."""

    keeps_metadata = True

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        self.bucket = bucket
        self._settings = settings
        self._opened: Any = None

    def reference(self, prefix: str) -> StorageRef:
        """Name a prefix of this bucket."""
        return StorageRef("s3", self.bucket, prefix)

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List what lies below a prefix."""
        found: dict[str, StoredObject] = {}
        obstore = _obstore()

        async def read_pages() -> None:
            async for page in obstore.list(self._store, prefix=prefix):
                for item in page:
                    found[item["path"]] = StoredObject(item["path"], item["size"], item["e_tag"] or "")

        await self._asked("list", prefix, read_pages(), size_bytes=0)
        return found

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return an object's first bytes."""
        chunks: list[bytes] = []

        async def fetch() -> None:
            async for chunk in await self._stream(key):
                chunks.append(bytes(chunk))
                if sum(map(len, chunks)) >= max_bytes:
                    return

        try:
            await self._asked("get", key, fetch(), size_bytes=max_bytes)
        except FileNotFoundError:
            return None
        return b"".join(chunks)[:max_bytes]

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return an object's last bytes, by a range of the size that was listed: stores differ on suffix ranges."""
        if stored.size_bytes == 0:
            return b""
        start = max(0, stored.size_bytes - max_bytes)
        asked = _obstore().get_range_async(self._store, stored.key, start=start, end=stored.size_bytes)
        try:
            return bytes(await self._asked("get", stored.key, asked, size_bytes=max_bytes))
        except FileNotFoundError:
            return None

    async def download(self, key: str, into: Path) -> Mapping[str, str] | None:
        """Write an object to a file, a few megabytes in memory at a time."""
        try:
            result = await self._asked("get", key, _obstore().get_async(self._store, key), size_bytes=0)

            async def copy() -> None:
                with into.open("xb") as file:
                    async for chunk in result.stream(min_chunk_size=READ_BYTES):
                        await asyncio.to_thread(file.write, chunk)

            await self._asked("get", key, copy(), size_bytes=result.meta["size"])
        except FileNotFoundError:
            return None
        return {name: value for name, value in result.attributes.items() if name[:1].islower()}

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """PUT with `If-None-Match: *`."""
        await self._put(key, body, metadata, "create")

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """PUT with `If-Match`."""
        await self._put(key, body, metadata, {"e_tag": etag})

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, all in one request where there are few."""
        names = sorted(keys)
        if names:
            deleting = _obstore().delete_async(self._store, names)
            await self._asked("delete", names[0], deleting, size_bytes=0)

    async def _put(self, key: str, body: Path | bytes, metadata: Mapping[str, str], mode: Any) -> None:
        # A mapped file is sent from the page cache: memory stays flat however large it is.
        content = body if isinstance(body, bytes) else _mapped(body)
        putting = _obstore().put_async(
            self._store, key, content, attributes=dict(metadata), mode=mode, use_multipart=False
        )
        await self._asked("put", key, putting, size_bytes=len(content))

    async def _stream(self, key: str) -> AsyncIterator[bytes]:
        result = await _obstore().get_async(self._store, key)
        stream: AsyncIterator[bytes] = result.stream(min_chunk_size=READ_BYTES)
        return stream

    async def _asked(self, operation: str, key: str, request: Awaitable[Any], *, size_bytes: int) -> Any:
        """Await a request within its time and turn its fault into one of ours."""
        from obstore import exceptions  # noqa: PLC0415 - loaded when first needed

        timeout_seconds = BASE_TIMEOUT_SECONDS + size_bytes / SLOWEST_BYTES_PER_SECOND
        try:
            async with asyncio.timeout(timeout_seconds):
                return await request
        except TimeoutError:
            reason = f"no answer within {timeout_seconds:.0f} s"
            raise StoreUnavailable(operation=operation, key=key, reason=reason) from None
        except exceptions.AlreadyExistsError:
            raise AlreadyStored from None
        except exceptions.PreconditionError:
            raise Changed from None
        except (exceptions.BaseError, FileNotFoundError, OSError) as error:
            text = str(error)
            if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in text:
                raise
            raise mapped_fault(text, operation=operation, key=key, bucket=self.bucket) from None

    @property
    def _store(self) -> Any:
        if self._opened is None:
            self._opened = open_bucket(self.bucket, self._settings)
        return self._opened


def open_bucket(bucket: str, settings: S3Settings) -> Any:
    """Open a bucket with the keys that are given, else with the usual AWS credential chain."""
    from obstore.store import S3Store  # noqa: PLC0415 - loaded when first needed

    config: dict[str, Any] = {
        "region": settings.region or DEFAULT_REGION,
        "checksum_algorithm": "SHA256",
        "virtual_hosted_style_request": settings.endpoint is None,
    }
    given = {
        "endpoint": settings.endpoint,
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "session_token": settings.session_token,
    }
    config |= {name: value for name, value in given.items() if value is not None}
    plain_http = (settings.endpoint or "").startswith("http://")
    return S3Store(
        bucket,
        config=config,  # type: ignore[arg-type]
        client_options={"allow_http": plain_http, "timeout": LONGEST_REQUEST, "connect_timeout": timedelta(seconds=10)},
        retry_config=RETRIES,  # type: ignore[arg-type]
    )


def mapped_fault(text: str, *, operation: str, key: str, bucket: str) -> IngestError:
    """Return our error for the text of one of obstore's, keeping nothing of it but status and error code."""
    status = _first(r"status code: (\d{3})", text)
    code = _first(r"<Code>(\w+)</Code>", text)
    reason = " ".join(part for part in (f"HTTP {status}" if status else "", code or "") if part)
    if code == "NoSuchBucket":
        return NoSuchBucket(bucket=bucket)
    if "/latest/" in text or "169.254." in text or "credentials" in text.lower():
        reason = "no credentials: set the AWS keys, or give the task or instance a role"
        return StoreUnavailable(operation=operation, key=key, reason=reason)
    if code in DENIED_CODES or status in {"401", "403"}:
        wanted = PERMISSIONS[operation]
        return StoreDenied(operation=operation, key=key, reason=f"{reason or 'refused'} ({wanted} is needed)")
    if code == "NotImplemented" or status == "501":
        return StoreUnfit(operation="a conditional PUT" if operation == "put" else operation, reason=reason)
    if not reason:
        reason = "no connection" if "sending request" in text else "the request failed"
    return StoreUnavailable(operation=operation, key=key, reason=reason)


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None


def _mapped(path: Path) -> mmap.mmap | bytes:
    """Map a file read-only; an empty one can't be mapped."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""


def _obstore() -> Any:
    import obstore  # noqa: PLC0415 - loaded when first needed

    return obstore
