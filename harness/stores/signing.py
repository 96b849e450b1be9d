"""Sign a forwarded request again, since the client's signature covers the Host of the proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.stores.bucket import S3Endpoint

_REPLACED = {"authorization", "host", "x-amz-date", "x-amz-security-token", "connection", "transfer-encoding"}
_DIGEST = "x-amz-content-sha256"


def sign(method: str, url: str, headers: Mapping[str, str], keys: S3Endpoint) -> dict[str, str]:
    """Return the headers of a request, signed with other keys for another URL; the digest of the body is kept.

    botocore implements the rules (AWS Signature Version 4). A body with signed chunks can't be signed again, and the
    store will reject it.
    """
    from botocore.auth import S3SigV4Auth  # noqa: PLC0415 - takes half a second
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above
    from botocore.credentials import Credentials  # noqa: PLC0415 - as above

    class Signer(S3SigV4Auth):  # type: ignore[misc]
        """Uses the digest that the client sent, since it does not have the body."""

        def payload(self, request: Any) -> str:  # noqa: ARG002 - botocore's signature
            return digest

    kept = {name: value for name, value in headers.items() if name.lower() not in _REPLACED}
    digest = next((value for name, value in kept.items() if name.lower() == _DIGEST), "UNSIGNED-PAYLOAD")
    forwarded = AWSRequest(
        method, url, headers={name: value for name, value in kept.items() if name.lower() != _DIGEST}
    )
    Signer(Credentials(keys.access_key, keys.secret_key), "s3", keys.region).add_auth(forwarded)
    return dict(forwarded.headers.items())
