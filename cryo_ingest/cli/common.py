"""What several commands share: the store's option, how it is opened, and how errors are printed."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING, Annotated

import typer

from cryo_ingest.errors import ConfigurationError

if TYPE_CHECKING:
    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.settings import Settings

NO_STORE = "must be set if there is no --store"

StoreOption = Annotated[
    str | None, typer.Option("--store", help="s3://bucket or file:///directory. [default: s3://$S3_BUCKET]")
]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, and log only errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log instead of the progress.")]


def open_store_of(url: str | None, settings: Settings) -> ObjectStore:
    """Open the store of `--store`, or the bucket in S3_BUCKET."""
    if url is None and settings.s3.bucket is None:
        raise ConfigurationError({"S3_BUCKET": NO_STORE})

    from cryo_ingest.publish.stores import open_store  # noqa: PLC0415 - slow to import, and not needed for usage errors

    try:
        return open_store(f"s3://{settings.s3.bucket}" if url is None else url, settings.s3)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="S3_BUCKET" if url is None else "--store") from None


def print_version(*, wanted: bool) -> None:
    """Print the version of the distribution and exit, if that is wanted."""
    if wanted:
        sys.stdout.write(f"cryo-ingest {metadata.version('cryo-ingest')}\n")
        raise typer.Exit


def print_error(message: str) -> None:
    """Print a message on standard error."""
    with suppress(OSError):  # the exit code still shows the failure
        sys.stderr.write(f"cryo-ingest: {message}\n")
        sys.stderr.flush()
