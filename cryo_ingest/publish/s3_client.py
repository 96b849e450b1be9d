"""Opens a bucket with obstore, with the location and the keys of `S3Settings` only.

obstore reads all `AWS_*` variables that its configuration does not override; `AWS_ENDPOINT_URL_S3` even overrides a
configured endpoint (seen with 0.12). So everything that could make requests go elsewhere, unsigned or unconditional is
configured here. The credential chain reads its own variables, but only without configured keys.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryo_ingest.settings import S3Settings

DEFAULT_REGION = "us-east-1"

MAX_REQUEST = timedelta(hours=2)
"""Longer than all of the worker's timeouts (5 GiB at 1 MiB/s takes 86 minutes), so that obstore never ends a request
first."""

RETRIES: dict[str, Any] = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}
"""For 5xx, 429 and connection errors. A PUT whose response was lost raises AlreadyStored in its retry."""

NO_PROXY: dict[str, Any] = {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": "*,0.0.0.0/0,::/0"}
"""obstore uses the proxy variables unless a proxy is configured; this one excludes all hosts."""


def open_bucket(bucket: str, settings: S3Settings) -> Any:
    """Open a bucket with the configured keys, or with the AWS credential chain.

    Raises:
        obstore.exceptions.BaseError: only one key of a pair is set, or a variable of the chain is invalid.
    """
    from obstore.store import S3Store  # noqa: PLC0415 - loaded when first needed

    endpoint = endpoint_url(bucket, settings)
    config: dict[str, Any] = {
        "region": settings.region or DEFAULT_REGION,
        "endpoint": endpoint,
        "aws_endpoint_url_s3": endpoint,
        "virtual_hosted_style_request": _in_host_name(bucket, settings),
        "checksum_algorithm": "SHA256",
        "conditional_put": "etag",
        "skip_signature": False,
        "unsigned_payload": False,
        "s3_express": False,
    }
    given = {"access_key_id": settings.access_key_id, "secret_access_key": settings.secret_access_key}
    provider = _configured_keys(settings) if all(given.values()) else None
    config |= {} if provider else {name: value for name, value in given.items() if value}
    return S3Store(
        bucket,
        config=config,  # type: ignore[arg-type]
        client_options={  # type: ignore[arg-type]
            "allow_http": endpoint.startswith("http://"),
            "timeout": MAX_REQUEST,
            "connect_timeout": timedelta(seconds=10),
            **({} if settings.proxies.variables else NO_PROXY),
        },
        retry_config=RETRIES,  # type: ignore[arg-type]
        credential_provider=provider,  # type: ignore[arg-type]
    )


def endpoint_url(bucket: str, settings: S3Settings) -> str:
    """Return the start of all request URLs, with the bucket's name if it is in the host name."""
    if settings.endpoint is not None:
        return settings.endpoint
    region = settings.region or DEFAULT_REGION
    host = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    return f"https://{bucket}.{host}" if _in_host_name(bucket, settings) else f"https://{host}"


def _in_host_name(bucket: str, settings: S3Settings) -> bool:
    """Return whether the host name has the bucket's name; with a dot it would not match AWS's certificates."""
    return settings.endpoint is None and "." not in bucket


def _configured_keys(settings: S3Settings) -> Callable[[], dict[str, Any]]:
    """Return a provider of the configured keys; a token from the environment would belong to other keys."""
    keys = {
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "token": settings.session_token,
        "expires_at": None,
    }
    return lambda: keys
