"""An S3 bucket behind the `ObjectStore` port, through obstore: one PUT an object, conditional, checked by the store.

How the bucket is opened is `s3_client.py`'s, what a fault means `s3_faults.py`'s.
"""

from __future__ import annotations

import asyncio
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from cryo_ingest.errors import ClockSkewed, IngestError, StoreUnavailable, StoreUnfit, UnmanageableKey
from cryo_ingest.model import StorageRef
from cryo_ingest.ports import AlreadyStored, Changed, StoredObject
from cryo_ingest.publish.local import FULL, disk_full, size_of
from cryo_ingest.publish.s3_client import endpoint_url, open_bucket
from cryo_ingest.publish.s3_clock import clock_difference
from cryo_ingest.publish.s3_errors import Asked, mapped_error
from cryo_ingest.publish.s3_etags import IMPOSSIBLE_ETAG, bare, digest_of, is_digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from cryo_ingest.settings import S3Settings

T = TypeVar("T")

BASE_TIMEOUT_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 1024**2
"""A request may take 60 s and its size at 1 MiB/s: obstore's own 30 s are too short for an uplink (architecture.md)."""

READ_BYTES = 4 * 1024**2


class S3ObjectStore:
    """The objects of one bucket; see `ports.ObjectStore`. Nothing is contacted before the first request."""

    keeps_metadata = True

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        self.bucket = bucket
        self._settings = settings
        self._endpoint = endpoint_url(bucket, settings)
        self._opened: Any = None
        self._quotes_etags = True
        self._obeys: set[str] = set()
        self._probing = asyncio.Lock()

    def reference(self, prefix: str) -> StorageRef:
        """Name a prefix of this bucket."""
        return StorageRef("s3", self.bucket, prefix)

    async def list(self, prefix: str) -> dict[str, StoredObject]:
        """List what lies below a prefix.

        Raises:
            UnmanageableKey: a key can't be addressed: obstore knows no empty segments, and drops a last slash, so that
                a marker of the prefix itself looks like a key beside it.
        """
        found: dict[str, StoredObject] = {}

        async def read_pages() -> None:
            async for page in _obstore().list(self._store, prefix=prefix):
                for item in page:
                    found[item["path"]] = StoredObject(item["path"], item["size"], item["e_tag"] or "")

        await self._ask("list", prefix, read_pages)
        strangers = [key for key in found if not key.startswith(prefix)]
        if strangers:
            raise UnmanageableKey(prefix=prefix, key=f"{strangers[0]}/")
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

        return await self._ask_for("get", key, fetch, size_bytes=max_bytes)

    async def read_tail(self, stored: StoredObject, *, max_bytes: int) -> bytes | None:
        """Return an object's last bytes, by a range of the size that was listed: stores differ on suffix ranges."""
        if stored.size_bytes == 0:
            return b""
        start = max(0, stored.size_bytes - max_bytes)

        async def fetch() -> bytes:
            end = stored.size_bytes
            return bytes(await _obstore().get_range_async(self._store, stored.key, start=start, end=end))

        return await self._ask_for("get", stored.key, fetch, size_bytes=max_bytes)

    async def download(self, stored: StoredObject, into: Path) -> Mapping[str, str] | None:
        """Write an object to a file by a GET with `If-Match`, a few megabytes in memory at a time."""
        with into.open("xb") as file:

            async def fetch(etag: str) -> dict[str, str] | None:
                async def get() -> dict[str, str]:
                    result = await _obstore().get_async(self._store, stored.key, options={"if_match": etag})
                    async for chunk in result.stream(min_chunk_size=READ_BYTES):
                        await _write(file, chunk, into, stored.size_bytes)
                    return {name: value for name, value in result.attributes.items() if name[:1].islower()}

                return await self._ask_for("get", stored.key, get, size_bytes=stored.size_bytes)

            return await self._if_match(stored.key, stored.etag, fetch, operation="GET")

    async def matches(self, stored: StoredObject, body: Path | bytes) -> bool | None:
        """Compare size and, where the ETag is that of a plain PUT, MD5; SSE-KMS and others have ETags that are not."""
        if size_of(body) != stored.size_bytes:
            return False
        if not is_digest(stored.etag):
            return None
        return await asyncio.to_thread(digest_of, body) == bare(stored.etag).lower() or None

    async def create(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """PUT with `If-None-Match: *`; a 409 or 412 says that something is there, or was a moment ago."""
        try:
            await self._put(key, body, metadata, "create")
        except Changed:
            raise AlreadyStored from None

    async def replace(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str], etag: str) -> None:
        """PUT with `If-Match`; a 404, 409 or 412 says that what `etag` names is there no longer.

        The first one of a process is preceded by one that must fail: a store that ignores the condition is found out,
        and all that has happened then is what was wanted.
        """
        async with self._probing:
            if "If-Match" not in self._obeys:
                try:
                    await self._put(key, body, metadata, {"e_tag": IMPOSSIBLE_ETAG})
                except Changed:
                    self._obeys.add("If-Match")
                else:
                    raise _ignores("If-Match")

        async def put(form: str) -> None:
            await self._put(key, body, metadata, {"e_tag": form})

        await self._if_match(key, etag, put, operation="PUT")

    async def ensure_create_only(self, key: str, body: Path | bytes, *, metadata: Mapping[str, str]) -> None:
        """Repeat a create once a process: only a store that ignores `If-None-Match` takes it."""
        async with self._probing:
            if "If-None-Match" in self._obeys:
                return
            try:
                await self.create(key, body, metadata=metadata)
            except AlreadyStored:
                self._obeys.add("If-None-Match")
            else:
                raise _ignores("If-None-Match")

    async def _if_match(self, key: str, etag: str, ask: Callable[[str], Awaitable[T]], *, operation: str) -> T:
        """Make a conditional request with the ETag in quotes, as RFC 9110 has it, or bare, as some stores want it.

        Raises:
            Changed: the object is no longer the one that `etag` names.
            StoreUnfit: it is, and the store refuses the condition in either form.
        """
        forms = [f'"{bare(etag)}"', bare(etag)]
        for form in forms if self._quotes_etags else forms[::-1]:
            try:
                answer = await ask(form)
            except Changed as refusal:
                if not isinstance(refusal, _Refused412) or not await self._is_unchanged(key, etag):
                    raise Changed from None
            else:
                self._quotes_etags = form == forms[0]
                return answer
        reason = "it answers 412 though the object has not changed, with quotes round the ETag and without"
        raise StoreUnfit(operation=f"a {operation} with If-Match", reason=reason)

    async def _is_unchanged(self, key: str, etag: str) -> bool:
        """Tell whether the object under a key is still the one that `etag` names; where that can't be asked, not."""

        async def head() -> Any:
            return await _obstore().head_async(self._store, key)

        try:
            found = await self._ask_for("get", key, head, size_bytes=0)
        except (IngestError, Changed):
            return False
        return found is not None and bare(found["e_tag"] or "") == bare(etag)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, all in one request where there are few."""
        names = sorted(keys)
        if names:
            await self._ask("delete", names[0], lambda: _obstore().delete_async(self._store, names))

    async def _put(self, key: str, body: Path | bytes, metadata: Mapping[str, str], mode: Any) -> None:
        # A mapped file is sent from the page cache: memory stays flat however large it is.
        content = body if isinstance(body, bytes) else _mapped(body)
        attributes = dict(metadata)

        async def send() -> None:
            store = self._store
            await _obstore().put_async(store, key, content, attributes=attributes, mode=mode, use_multipart=False)

        await self._ask("put", key, send, size_bytes=len(content))

    async def _ask_for(
        self, operation: str, key: str, start: Callable[[], Awaitable[T]], *, size_bytes: int
    ) -> T | None:
        """Make a request for an object; None where it is gone."""
        try:
            return await self._ask(operation, key, start, size_bytes=size_bytes)
        except FileNotFoundError:
            return None

    async def _ask(self, operation: str, key: str, start: Callable[[], Awaitable[T]], *, size_bytes: int = 0) -> T:
        """Make a request within its time and turn its fault into one of ours.

        A conditional request that was refused raises Changed, and a GET of what is not there FileNotFoundError.
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
            refused = isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError)
            if refused and operation in {"get", "put"}:
                raise (_Refused412 if isinstance(error, exceptions.PreconditionError) else Changed) from None
            if isinstance(error, FileNotFoundError) and operation == "get" and "<Code>NoSuchBucket" not in str(error):
                raise
            mapped = mapped_error(error, Asked(operation, key, self.bucket, self._endpoint))
            if isinstance(mapped, ClockSkewed) and mapped.difference_seconds is None:
                mapped = ClockSkewed(difference_seconds=await asyncio.to_thread(clock_difference, self._endpoint))
            raise mapped from None

    @property
    def _store(self) -> Any:
        if self._opened is None:
            self._opened = open_bucket(self.bucket, self._settings)
        return self._opened


class _Refused412(Changed):
    """A condition was refused by 412, not by 409 or 404."""


def _ignores(condition: str) -> StoreUnfit:
    return StoreUnfit(operation=f"a PUT with {condition}", reason="it ignores the condition and overwrites the object")


async def _write(file: BinaryIO, chunk: Any, into: Path, needed_bytes: int) -> None:
    """Write to local disk, whose faults are not the store's."""
    try:
        await asyncio.to_thread(file.write, chunk)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise disk_full(into, needed_bytes) from None


def _mapped(path: Path) -> mmap.mmap | bytes:
    """Map a file read-only; an empty one can't be mapped."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""


def _obstore() -> Any:
    import obstore  # noqa: PLC0415 - loaded when first needed

    return obstore
