"""A directory as a store: keys are paths of files, and there is no metadata (LAY-8)."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.reference.errors import Conflict, Retryable
from harness.reference.store import Entry, Stored, glob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.reference.cancellation import Cancellation


class DirectoryStore:
    """A directory; an object is replaced by a rename under a lock, and metadata is not stored."""

    def __init__(self, root: Path, cancellation: Cancellation) -> None:
        self._root, self._cancellation = root, cancellation

    def entries(self, prefix: str) -> dict[str, Entry]:
        """List every key below a prefix."""
        self._cancellation.check()
        files = (path for path in (self._root / prefix).rglob("*") if path.is_file())
        bodies = {str(path.relative_to(self._root)): path.read_bytes() for path in files}
        return {key: Entry(_etag(body), len(body)) for key, body in bodies.items()}

    def get(self, key: str) -> Stored | None:
        """Return an object, or None if it does not exist."""
        self._cancellation.check()
        try:
            body = (self._root / key).read_bytes()
        except FileNotFoundError:
            return None
        return Stored(body, _etag(body), {})

    def create(self, key: str, body: bytes, metadata: dict[str, str]) -> None:  # noqa: ARG002 - a directory has no metadata (LAY-8)
        """Store an object that does not exist yet."""
        with self._temporary_file(key, body) as temporary:
            try:
                os.link(temporary, self._root / key)
            except FileExistsError:
                raise Conflict(f"{key} exists") from None

    def replace(self, key: str, body: bytes, metadata: dict[str, str], etag: str) -> None:  # noqa: ARG002 - as above
        """Replace the object that has this ETag."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            stored = self.get(key)
            if stored is None or stored.etag != etag:
                raise Conflict(f"{key} has changed")
            with self._temporary_file(key, body) as temporary:
                temporary.replace(self._root / key)
        finally:
            os.close(descriptor)

    def delete(self, key: str) -> None:
        """Delete an object, if it exists."""
        self._cancellation.check()
        (self._root / key).unlink(missing_ok=True)

    def reference(self, prefix: str) -> dict[str, str]:
        """Return the storage reference of PUB-2."""
        return {"scheme": "file", "prefix": f"{self._root}/{prefix}", "glob": glob()}

    @contextlib.contextmanager
    def _temporary_file(self, key: str, body: bytes) -> Iterator[Path]:
        self._cancellation.check()
        try:
            (self._root / key).parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".upload-", dir=self._root)
        except OSError as error:
            raise Retryable(f"the store's directory can't be written: {error.strerror}") from None
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
            temporary.chmod(0o644)
            yield temporary
        except OSError as error:
            raise Retryable(f"the store's directory can't be written: {error.strerror}") from None
        finally:
            temporary.unlink(missing_ok=True)


def _etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
