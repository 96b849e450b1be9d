"""moto's S3 server as a process of its own on loopback, ended when the `with` block ends.

It takes wrong checksums and wrong credentials, which MinIO refuses: what it can't show is not to be tested on it.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.stores.bucket import S3Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"

SERVER = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address=sys.argv[1], port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
"""Serves until its standard input is closed, which it is even when whoever started it was killed."""


@contextmanager
def moto_server(address: str = LOOPBACK) -> Iterator[S3Endpoint]:
    """Run moto's server, which serves S3 and SQS, and yield its endpoint.

    Args:
        address: where to listen; containers reach this machine at their network's gateway.

    Raises:
        RuntimeError: it did not start.
    """
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101 - asked for above
        port = process.stdout.readline().strip()
        if not port:
            message = "moto's server did not start: see its words on standard error; is the extra `harness` installed?"
            raise RuntimeError(message)
        try:
            yield S3Endpoint(f"http://{address}:{port}", "test-key", "test-secret")
        finally:
            process.stdin.close()
