"""PUT requests as a store with a defect takes them: other bytes are kept, conditions ignored, quoted ETags refused.

`altered` says what the proxy forwards in place of the request that came; the proxy signs it again.
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
class Altered:
    """What is forwarded: headers by lower-case names, and the body without S3's framing."""

    headers: dict[str, str]
    body: bytes = field(repr=False)


def altered(defect: Defect, headers: Mapping[str, str], body: bytes) -> Altered | None:
    """Return the request as the defective store takes it, or None where it refuses the request with 412.

    A store that keeps other bytes does not look at checksums either: they are taken off.
    """
    found = {name.lower(): value for name, value in headers.items()}
    content, trailers = unframed(found, body)
    found = {name: value for name, value in (found | trailers).items() if name not in _FRAMING and value != _CHUNKED}
    match defect:
        case "refuse-quoted-etags":
            etag = found.get("if-match", "")
            if '"' in etag:
                return None
            # The store behind the proxy keeps to RFC 9110, which wants the quotes.
            found["if-match"] = f'"{etag}"'
        case "ignore-conditions":
            found = {name: value for name, value in found.items() if name not in CONDITIONS}
        case _:
            content = _kept(defect, content)
            found = {name: value for name, value in found.items() if not name.startswith(_CHECKSUMS)}
    return Altered(found | {_DIGEST: hashlib.sha256(content).hexdigest()}, content)


def _kept(defect: Defect, content: bytes) -> bytes:
    if defect == "keep-framed":
        return b"%x;chunk-signature=0\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    return b"" if defect == "keep-empty" else content[: len(content) // 2]
