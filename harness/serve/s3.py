"""`cryo-harness serve s3`: an S3 server with an empty bucket by hand, until SIGTERM. It is moto's."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.serve.lifecycle import FAILED, StopRequested, exports, handle_signals, print_lines, say, wait_for_the_end
from harness.stores.bucket import Bucket
from harness.stores.moto import moto_server


def s3(bucket: Annotated[str, typer.Option(help="The bucket to make.")] = "cryo") -> None:
    """Serve S3 in memory; the first line is its URL, then the environment to export."""
    handle_signals()
    try:
        with moto_server() as endpoint:
            made = Bucket(endpoint, bucket)
            made.client.create_bucket(Bucket=bucket)
            print_lines([endpoint.url, *exports(made.environment()), "# all of it is gone when this ends"])
            wait_for_the_end()
    except RuntimeError as error:
        say(str(error))
        raise typer.Exit(FAILED) from None
    except StopRequested:
        return
