"""Signing a request anew, for a store that checks the Host which the client's own signature covers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.stores.bucket import S3Endpoint

_REPLACED = {"authorization", "host", "x-amz-date", "x-amz-security-token", "connection", "transfer-encoding"}
_DIGEST = "x-amz-content-sha256"


def signed(method: str, url: str, headers: Mapping[str, str], keys: S3Endpoint) -> dict[str, str]:
    """Return a request's headers with a signature by other keys for another URL; its body's digest is kept.

    The rules are AWS Signature Version 4's, as botocore carries them out. A body whose chunks bear signatures of their
    own can't be signed anew, and the store will refuse it.
    """
    from botocore.auth import S3SigV4Auth  # noqa: PLC0415 - half a second, paid by who has an external store
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above
    from botocore.credentials import Credentials  # noqa: PLC0415 - as above

    class Signer(S3SigV4Auth):  # type: ignore[misc]
        """Takes the digest that the client sent, instead of reading a body that it is not given."""

        def payload(self, request: Any) -> str:  # noqa: ARG002 - botocore's signature
            return digest

    kept = {name: value for name, value in headers.items() if name.lower() not in _REPLACED}
    digest = next((value for name, value in kept.items() if name.lower() == _DIGEST), "UNSIGNED-PAYLOAD")
    asked = AWSRequest(method, url, headers={name: value for name, value in kept.items() if name.lower() != _DIGEST})
    Signer(Credentials(keys.access_key, keys.secret_key), "s3", keys.region).add_auth(asked)
    return dict(asked.headers.items())
