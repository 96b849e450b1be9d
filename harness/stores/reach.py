"""Check within seconds whether an S3 server answers at a URL, with one unsigned request."""

from __future__ import annotations

import threading
from importlib import import_module
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

CALL_SECONDS = 1.2
"""The timeout for connecting, and for each part of the answer."""
ALL_SECONDS = 2.5
"""The timeout for everything: name resolution and a slow answer in many parts can exceed the other one."""


def problem_at(url: str) -> str | None:
    """Return why no S3 server can be used at a URL; None if one answers, even with an error."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"is not a URL: {error}"
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        return "is not the URL of a server: write http://HOST:PORT, and set keys in the environment"
    import_module("boto3")  # takes half a second, which must not count for the server
    answers: SimpleQueue[str | None] = SimpleQueue()
    # A daemon thread, because it may never return and must not keep the process alive.
    threading.Thread(target=lambda: answers.put(_request_problem(url)), daemon=True).start()
    try:
        return answers.get(timeout=ALL_SECONDS)
    except Empty:
        return f"does not answer within {ALL_SECONDS:g} s"


def _request_problem(url: str) -> str | None:
    import boto3  # noqa: PLC0415 - takes half a second
    from botocore import UNSIGNED  # noqa: PLC0415 - as above
    from botocore.config import Config  # noqa: PLC0415 - as above
    from botocore.exceptions import (  # noqa: PLC0415 - as above
        ClientError,
        ConnectionClosedError,
        ConnectTimeoutError,
        EndpointConnectionError,
        ReadTimeoutError,
    )

    once = Config(
        signature_version=UNSIGNED,
        connect_timeout=CALL_SECONDS,
        read_timeout=CALL_SECONDS,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
    )
    try:
        boto3.Session().client("s3", endpoint_url=url, region_name="us-east-1", config=once).list_buckets()
    except ClientError as error:
        # An error of S3 is XML with a code; for other bodies botocore has no code, or the status instead.
        code = error.response["Error"]["Code"]
        return None if code and not code.isdigit() else "answers, but not as S3 does"
    except (ConnectTimeoutError, ReadTimeoutError):
        return "does not answer: it hangs"
    except (EndpointConnectionError, ConnectionClosedError) as error:
        return f"does not answer: {error}"
    except Exception as error:  # noqa: BLE001 - botocore has many errors for a server without HTTP or without S3
        return f"does not answer as S3 does: {type(error).__name__}: {error}"
    return None
