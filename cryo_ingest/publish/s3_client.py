"""Opens a bucket with obstore so that `S3Settings` alone says where it is and with which keys.

obstore reads every `AWS_*` variable by itself, beneath the configuration that it is given; `AWS_ENDPOINT_URL_S3` even
goes before a given endpoint (seen with 0.12). So whatever could lead requests elsewhere, unsigned or unconditional is
given here, always. The credential chain reads its own variables, and only where no keys are given.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryo_ingest.settings import S3Settings

DEFAULT_REGION = "us-east-1"

MAX_REQUEST = timedelta(hours=2)
"""Above every timeout that we set ourselves (5 GiB at 1 MiB/s is 86 minutes), so that obstore's never cuts in first."""

RETRIES: dict[str, Any] = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}
"""For 5xx, 429 and connection faults. A PUT whose answer was lost comes back as AlreadyStored, which callers settle."""

NO_PROXY: dict[str, Any] = {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": "*,0.0.0.0/0,::/0"}
"""obstore obeys the proxy variables by itself unless it is given a proxy: this one is used for no host."""


def open_bucket(bucket: str, settings: S3Settings) -> Any:
    """Open a bucket with the keys that are given, else with the usual AWS credential chain.

    Raises:
        obstore.exceptions.BaseError: half a pair of keys, or a variable of the chain that can't be read.
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
    provider = _given_keys(settings) if all(given.values()) else None
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
    """Return what the URLs of all requests begin with, the bucket's name in it where the host name has it."""
    if settings.endpoint is not None:
        return settings.endpoint
    region = settings.region or DEFAULT_REGION
    host = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    return f"https://{bucket}.{host}" if _in_host_name(bucket, settings) else f"https://{host}"


def _in_host_name(bucket: str, settings: S3Settings) -> bool:
    """Tell whether the bucket's name goes into the host name; one with a dot would fit no certificate of AWS."""
    return settings.endpoint is None and "." not in bucket


def _given_keys(settings: S3Settings) -> Callable[[], dict[str, Any]]:
    """Return the given keys, their token or none: a token of the environment's would belong to other keys."""
    keys = {
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "token": settings.session_token,
        "expires_at": None,
    }
    return lambda: keys
