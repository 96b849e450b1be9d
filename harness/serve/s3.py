"""`cryo-harness serve s3`: run moto as an S3 server with an empty bucket until SIGTERM."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.serve.lifecycle import (
    FAILED,
    StopRequested,
    exports,
    handle_signals,
    print_lines,
    print_to_stderr,
    wait_for_stop,
)
from harness.stores.bucket import Bucket
from harness.stores.moto import moto_server


def s3(bucket: Annotated[str, typer.Option(help="The bucket to create.")] = "cryo") -> None:
    """Serve S3 in memory; the first line is its URL, then the environment to export."""
    handle_signals()
    try:
        with moto_server() as endpoint:
            created = Bucket(endpoint, bucket)
            created.client.create_bucket(Bucket=bucket)
            print_lines([endpoint.url, *exports(created.environment()), "# nothing is kept when this ends"])
            wait_for_stop()
    except RuntimeError as error:
        print_to_stderr(str(error))
        raise typer.Exit(FAILED) from None
    except StopRequested:
        return
