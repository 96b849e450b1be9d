"""The stores that scenarios run on, each with its measured limitations."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from harness.stores.bucket import S3Endpoint
from harness.stores.moto import moto_server
from harness.stores.probe import CREDENTIALS, limitations, probe
from harness.stores.reach import problem_at

FIRST_SECONDS = 2.0
"""The timeout for the first bucket on an external store, so that a store that hangs is reported soon."""


class BadStore(ValueError):
    """A store can't be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Backends:
    """The parts that scenarios share: a store, a server for queues, and the measured behaviour of the store."""

    store: S3Endpoint
    queues: S3Endpoint
    name: str
    answers: dict[str, str] = field(default_factory=dict)
    external: bool = False

    @property
    def limitations(self) -> tuple[str, ...]:
        """What no scenario on this store can show; on an external one the proxy signs, so wrong credentials too."""
        measured = limitations(self.answers) if self.answers else ()
        return tuple(sorted({*measured, CREDENTIALS})) if self.external else measured


@contextmanager
def backends(name: str) -> Iterator[Backends]:
    """Start or connect to a store and measure its limitations.

    Raises:
        BadStore: the store is unknown, does not answer, or has no keys.
    """
    if name == "memory":
        raise BadStore("the store in memory is for in-process targets; a command needs moto, minio or a URL")
    with ExitStack() as stack:
        if name == "moto":
            moto = stack.enter_context(moto_server())
            yield Backends(moto, moto, name, limitations_of(moto))
            return
        store = _minio(stack) if name == "minio" else external(name)
        queues = stack.enter_context(moto_server())
        is_external = name != "minio"
        answers = limitations_of(store, within_seconds=FIRST_SECONDS if is_external else None)
        yield Backends(store, queues, name, answers, external=is_external)


def limitations_of(store: S3Endpoint, *, within_seconds: float | None = None) -> dict[str, str]:
    """Measure the behaviour of a store with a temporary bucket, which must be created within `within_seconds`.

    Raises:
        BadStore: the bucket can't be created or used.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - takes half a second
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - as above

    try:
        bucket = store.make_bucket(within_seconds=within_seconds)
        try:
            return probe(bucket)
        finally:
            bucket.remove()
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise BadStore(f"the store {store.url} can't be probed: {error}") from None
    except KeyError as error:
        raise BadStore(f"the store {store.url} does not answer as S3 does: {error} is missing in its answer") from None


def _minio(stack: ExitStack) -> S3Endpoint:
    from harness.containers.engine import EngineError, engine_problem  # noqa: PLC0415 - only with an engine
    from harness.stores.minio import minio_server  # noqa: PLC0415 - as above

    problem = engine_problem()
    if problem is not None:
        raise BadStore(f"minio runs in a container: {problem}")
    try:
        return stack.enter_context(minio_server())
    except EngineError as error:
        raise BadStore(str(error)) from None


def external(url: str) -> S3Endpoint:
    """Return an S3 server by its URL, with the keys of the environment.

    Raises:
        BadStore: it is not a URL, no S3 server answers there, or there are no keys.
    """
    if not url.startswith(("http://", "https://")):
        raise BadStore(f"no store {url!r}: write moto, minio or the URL of an S3 server")
    if problem := problem_at(url):
        # Keys in a URL are secrets and must not be printed.
        raise BadStore(f"the store {re.sub('//.*@', '//…@', url)} {problem}")
    missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not os.environ.get(name)]
    if missing:
        raise BadStore(f"the store {url} needs keys: set {' and '.join(missing)}")
    region = os.environ.get("AWS_REGION", "us-east-1")
    return S3Endpoint(url.rstrip("/"), os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], region)
