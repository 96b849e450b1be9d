"""Whether anybody answers as S3 does at a URL, asked once, unsigned; told within seconds, whatever is there."""

from __future__ import annotations

import threading
from importlib import import_module
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

CALL_SECONDS = 1.2
"""For a connection, and for each part of an answer."""
ALL_SECONDS = 2.5
"""For all of it: the name's address is looked up and an answer dripped without regard to the above."""


def problem_at(url: str) -> str | None:
    """Return why no S3 server can be used at a URL; None where one answers, be it to refuse."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"is no URL: {error}"
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        return "is not the URL of a server: write http://HOST:PORT, and set keys in the environment"
    import_module("boto3")  # half a second, which the server is not to be blamed for
    answers: SimpleQueue[str | None] = SimpleQueue()
    # A daemon: it may never come back, and must then hold nobody up.
    threading.Thread(target=lambda: answers.put(_ask(url)), daemon=True).start()
    try:
        return answers.get(timeout=ALL_SECONDS)
    except Empty:
        return f"does not answer within {ALL_SECONDS:g} s"


def _ask(url: str) -> str | None:
    import boto3  # noqa: PLC0415 - half a second, paid by whoever looks into a store
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
        # S3 refuses in XML, which has a code; for any other words botocore leaves it out or puts the status there.
        code = error.response["Error"]["Code"]
        return None if code and not code.isdigit() else "answers, but not as S3 does"
    except (ConnectTimeoutError, ReadTimeoutError):
        return "does not answer: it hangs"
    except (EndpointConnectionError, ConnectionClosedError) as error:
        return f"does not answer: {error}"
    except Exception as error:  # noqa: BLE001 - what is there speaks no HTTP or no S3, which botocore tells in many ways
        return f"does not answer as S3 does: {type(error).__name__}: {error}"
    return None
