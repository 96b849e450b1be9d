"""S3's streamed uploads: many clients send a body as signed chunks, followed by trailers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGEST = "x-amz-content-sha256"


def unframed(headers: Mapping[str, str], body: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the bytes that a PUT stores, and the trailers that follow them.

    A body is framed if `x-amz-content-sha256` says that it is a stream (Amazon S3 API, "Signature calculations:
    transferring payload in multiple chunks"): `SIZE[;EXTENSIONS]CRLF DATA CRLF`, a chunk of size 0, then trailers.
    Of a truncated or malformed body the complete part is returned.

    Args:
        headers: with lower-case names.
        body: as received.
    """
    if not headers.get(_DIGEST, "").startswith("STREAMING-"):
        return body, {}
    stored, rest = b"", body
    while rest:
        head, _, rest = rest.partition(b"\r\n")
        try:
            size = int(head.partition(b";")[0], 16)
        except ValueError:
            return stored, {}
        if size == 0:
            return stored, _trailers(rest)
        stored += rest[:size]
        rest = rest[size:].removeprefix(b"\r\n")
    return stored, {}


def _trailers(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode(errors="replace").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, found, value in lines if found}
