"""Imitates defective stores, which store wrong bytes, ignore conditions, or reject quoted ETags.

The proxy forwards the request that `apply_defect` returns instead of the original PUT, and signs it again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.stores.framing import unframed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.faults.store import Defect

CONDITIONS = ("if-match", "if-none-match")
_FRAMING = {"content-length", "transfer-encoding", "x-amz-decoded-content-length", "x-amz-trailer"}
_CHUNKED = "aws-chunked"
_CHECKSUMS = ("content-md5", "x-amz-checksum-", "x-amz-sdk-checksum-")
_DIGEST = "x-amz-content-sha256"


@dataclass(frozen=True, slots=True)
class ForwardedRequest:
    """The request to forward: headers with lower-case names, and the body without S3's framing."""

    headers: dict[str, str]
    body: bytes = field(repr=False)


def apply_defect(defect: Defect, headers: Mapping[str, str], body: bytes) -> ForwardedRequest | None:
    """Return the request with which a correct store acts like the defective one, or None if that one returns 412.

    A store that stores wrong bytes does not verify checksums either, so the checksums are removed.
    """
    kept = {name.lower(): value for name, value in headers.items()}
    content, trailers = unframed(kept, body)
    kept = {name: value for name, value in (kept | trailers).items() if name not in _FRAMING and value != _CHUNKED}
    match defect:
        case "refuse-quoted-etags":
            etag = kept.get("if-match", "")
            if '"' in etag:
                return None
            # The store behind the proxy follows RFC 9110, which requires the quotes.
            kept["if-match"] = f'"{etag}"'
        case "ignore-conditions":
            kept = {name: value for name, value in kept.items() if name not in CONDITIONS}
        case _:
            content = _stored_bytes(defect, content)
            kept = {name: value for name, value in kept.items() if not name.startswith(_CHECKSUMS)}
    return ForwardedRequest(kept | {_DIGEST: hashlib.sha256(content).hexdigest()}, content)


def _stored_bytes(defect: Defect, content: bytes) -> bytes:
    if defect == "keep-framed":
        return b"%x;chunk-signature=0\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    return b"" if defect == "keep-empty" else content[: len(content) // 2]
