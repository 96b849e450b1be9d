"""The `ObjectStore` port on an S3 bucket, with obstore: one conditional PUT with a checksum for each object.

`s3_client.py` opens the bucket, and `s3_errors.py` maps errors.
"""

from __future__ import annotations

import asyncio
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cryo_ingest.errors import ClockSkewed, IngestError, StoreUnavailable, StoreUnfit, UnsupportedKey
from cryo_ingest.model import StorageRef
from cryo_ingest.ports import AlreadyStored, Changed, StoredObject
from cryo_ingest.publish.local import size_of, writing_copy
from cryo_ingest.publish.s3_client import endpoint_url, open_bucket
from cryo_ingest.publish.s3_clock import clock_difference
from cryo_ingest.publish.s3_errors import StoreRequest, mapped_error
from cryo_ingest.publish.s3_etags import IMPOSSIBLE_ETAG, bare, digest_of, is_digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from cryo_ingest.settings import S3Settings

T = TypeVar("T")

BASE_TIMEOUT_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 1024**2
"""A request may take 60 s plus its size at 1 MiB/s: obstore's 30 s are too short for a slow uplink."""

READ_BYTES = 4 * 1024**2


class S3ObjectStore:
    """The objects of one bucket; see `ports.ObjectStore`. The first request opens the bucket."""

    keeps_metadata = True

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        self.bucket = bucket
        self._settings = settings
        self._endpoint = endpoint_url(bucket, settings)
        self._opened: Any = None
        self._quotes_etags = True
        self._verified_conditions: set[str] = set()
        self._verifying = asyncio.Lock()

    def reference(self, prefix: str) -> StorageRef:
        """Return the reference to a prefix of this bucket."""
        return StorageRef("s3", self.bucket, prefix)

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List the objects below a prefix.

        Raises:
            UnsupportedKey: a key can't be addressed: obstore does not support empty segments, and drops a final slash,
                so that a marker object of the prefix looks like a key outside it.
        """
        found: dict[str, StoredObject] = {}

        async def read_pages() -> None:
            async for page in _obstore().list(self._store, prefix=prefix):
                for item in page:
                    found[item["path"]] = StoredObject(item["path"], item["size"], item["e_tag"] or "")

        await self._request("list", prefix, read_pages)
        for key in found:
            if not key.startswith(prefix):
                raise UnsupportedKey(prefix=prefix, key=f"{key}/")
        return found

    async def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return an object's first bytes."""
        chunks: list[bytes] = []

        async def fetch() -> bytes:
            result = await _obstore().get_async(self._store, key)
            async for chunk in result.stream(min_chunk_size=READ_BYTES):
                chunks.append(bytes(chunk))
                if sum(map(len, chunks)) >= max_bytes:
                    break
            return b"".join(chunks)[:max_bytes]

        return await self._request_object("get", key, fetch, size_bytes=max_bytes)

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return an object's last bytes, by offsets from the listed size: stores differ in suffix ranges."""
        if stored.size_bytes == 0:
            return b""
        start = max(0, stored.size_bytes - max_bytes)

        async def fetch() -> bytes:
            end = stored.size_bytes
            return bytes(await _obstore().get_range_async(self._store, stored.key, start=start, end=end))

        return await self._request_object("get", stored.key, fetch, size_bytes=max_bytes)

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Write an object to a file by a GET with `If-Match`, with a few megabytes in memory."""
        with into.open("xb") as file:

            async def fetch(etag: str) -> dict[str, str] | None:
                async def get() -> dict[str, str]:
                    result = await _obstore().get_async(self._store, stored.key, options={"if_match": etag})
                    async for chunk in result.stream(min_chunk_size=READ_BYTES):
                        with writing_copy(into, stored.size_bytes):
                            await asyncio.to_thread(file.write, chunk)
                    return _user_metadata(result)

                return await self._request_object("get", stored.key, get, size_bytes=stored.size_bytes)

            return await self._if_match(stored.key, stored.etag, fetch, operation="GET")

    async def metadata(self, stored: StoredObject) -> Mapping[str, str] | None:
        """Return a listed object's user metadata by a HEAD request, None if it is gone."""

        async def head() -> dict[str, str]:
            return _user_metadata(await _obstore().get_async(self._store, stored.key, options={"head": True}))

        return await self._request_object("get", stored.key, head, size_bytes=0)

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Compare sizes and, if the ETag is an MD5, contents; with SSE-KMS, for example, it is not."""
        if size_of(body) != stored.size_bytes:
            return False
        if not is_digest(stored.etag):
            return None
        return await asyncio.to_thread(digest_of, body) == bare(stored.etag).lower() or None

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """PUT with `If-None-Match: *`; 409 or 412 means that the key has an object, or had one a moment ago."""
        try:
            await self._put(key, body, metadata, "create")
        except Changed:
            raise AlreadyStored from None

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """PUT with `If-Match`; 404, 409 or 412 means that the object that `etag` names is gone.

        Before the first one in a process, a PUT with an impossible ETag checks that the store obeys the condition. If
        the store ignores it, that PUT has only stored the content that was to be stored.
        """
        async with self._verifying:
            if "If-Match" not in self._verified_conditions:
                try:
                    await self._put(key, body, metadata, {"e_tag": IMPOSSIBLE_ETAG})
                except Changed:
                    self._verified_conditions.add("If-Match")
                else:
                    raise _ignored_condition("If-Match")

        async def put(form: str) -> None:
            await self._put(key, body, metadata, {"e_tag": form})

        await self._if_match(key, etag, put, operation="PUT")

    async def check_refuses_overwrite(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Repeat a create, once per process: only a store that ignores `If-None-Match` accepts it."""
        async with self._verifying:
            if "If-None-Match" in self._verified_conditions:
                return
            try:
                await self.create(key, body, metadata=metadata)
            except AlreadyStored:
                self._verified_conditions.add("If-None-Match")
            else:
                raise _ignored_condition("If-None-Match")

    async def _if_match(self, key: str, etag: str, send: Callable[[str], Awaitable[T]], *, operation: str) -> T:
        """Send a conditional request with the ETag in quotes, as in RFC 9110, or without, as some stores require.

        Raises:
            Changed: the key does not have the object that `etag` names.
            StoreUnfit: it has the object, but the store rejects the condition in both forms.
        """
        forms = [f'"{bare(etag)}"', bare(etag)]
        for form in forms if self._quotes_etags else forms[::-1]:
            try:
                result = await send(form)
            except Changed as error:
                if not isinstance(error, _PreconditionFailed) or not await self._is_unchanged(key, etag):
                    raise Changed from None
            else:
                self._quotes_etags = form == forms[0]
                return result
        reason = "it answers 412 although the object has not changed, with and without quotes around the ETag"
        raise StoreUnfit(operation=f"a {operation} with If-Match", reason=reason)

    async def _is_unchanged(self, key: str, etag: str) -> bool:
        """Return whether a key still has the object that `etag` names; False if the store does not answer."""

        async def head() -> Any:
            return await _obstore().head_async(self._store, key)

        try:
            found = await self._request_object("get", key, head, size_bytes=0)
        except (IngestError, Changed):
            return False
        return found is not None and bare(found["e_tag"] or "") == bare(etag)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, with one request for a small number of them."""
        names = sorted(keys)
        if names:
            await self._request("delete", names[0], lambda: _obstore().delete_async(self._store, names))

    async def _put(self, key: str, body: Path | bytes, metadata: Mapping[str, str], mode: Any) -> None:
        # A mapped file is sent from the page cache, so memory does not grow with its size.
        content = body if isinstance(body, bytes) else _mapped(body)
        attributes = dict(metadata)

        async def send() -> None:
            store = self._store
            await _obstore().put_async(store, key, content, attributes=attributes, mode=mode, use_multipart=False)

        await self._request("put", key, send, size_bytes=len(content))

    async def _request_object(
        self, operation: str, key: str, start: Callable[[], Awaitable[T]], *, size_bytes: int
    ) -> T | None:
        """Send a request for an object; None if it is gone."""
        try:
            return await self._request(operation, key, start, size_bytes=size_bytes)
        except FileNotFoundError:
            return None

    async def _request(self, operation: str, key: str, start: Callable[[], Awaitable[T]], *, size_bytes: int = 0) -> T:
        """Send a request within its timeout and map its errors to those of `cryo_ingest.errors`.

        A failed condition raises Changed, and a GET of a missing object raises FileNotFoundError.
        """
        from obstore import exceptions  # noqa: PLC0415 - loaded when first needed

        timeout_seconds = BASE_TIMEOUT_SECONDS + size_bytes / SLOWEST_BYTES_PER_SECOND
        try:
            async with asyncio.timeout(timeout_seconds):
                return await start()
        except TimeoutError:
            reason = f"no answer within {timeout_seconds:.0f} s"
            raise StoreUnavailable(operation=operation, key=key, reason=reason) from None
        except (exceptions.BaseError, OSError, NotImplementedError, ValueError) as error:
            failed_condition = isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError)
            if failed_condition and operation in {"get", "put"}:
                raise (_PreconditionFailed if isinstance(error, exceptions.PreconditionError) else Changed) from None
            if isinstance(error, FileNotFoundError) and operation == "get" and "<Code>NoSuchBucket" not in str(error):
                raise
            mapped = mapped_error(error, StoreRequest(operation, key, self.bucket, self._endpoint))
            if isinstance(mapped, ClockSkewed) and mapped.difference_seconds is None:
                mapped = ClockSkewed(difference_seconds=await asyncio.to_thread(clock_difference, self._endpoint))
            raise mapped from None

    @property
    def _store(self) -> Any:
        if self._opened is None:
            self._opened = open_bucket(self.bucket, self._settings)
        return self._opened


class _PreconditionFailed(Changed):
    """The store answered 412, not 409 or 404."""


def _user_metadata(result: Any) -> dict[str, str]:
    """Return the user metadata of a response; the names of its other attributes begin with a capital letter."""
    return {name: value for name, value in result.attributes.items() if name[:1].islower()}


def _ignored_condition(condition: str) -> StoreUnfit:
    return StoreUnfit(operation=f"a PUT with {condition}", reason="it ignores the condition and overwrites the object")


def _mapped(path: Path) -> mmap.mmap | bytes:
    """Map a file read-only; an empty one can't be mapped."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""


def _obstore() -> Any:
    import obstore  # noqa: PLC0415 - loaded when first needed

    return obstore
