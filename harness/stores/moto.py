"""moto's S3 server as a separate process on loopback, which ends with the `with` block.

Unlike MinIO, moto accepts wrong checksums and wrong credentials, so it cannot be used to test those errors.
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

SERVER_SCRIPT = """
import logging, sys, threading
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

moto, one_write_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

def application(environ, start_response):
    if environ["REQUEST_METHOD"] in ("GET", "HEAD") or "HTTP_X_AMZ_TARGET" in environ:
        return moto(environ, start_response)
    with one_write_at_a_time:
        return moto(environ, start_response)

server = make_server(sys.argv[1], 0, application, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
server.shutdown()
"""
"""The server stops when its standard input is closed, which happens even if its parent is killed.

moto checks the condition of a PUT and stores the object in two steps, so two concurrent creates can both succeed, which
no real store allows. Writes to S3 are therefore serialised; requests to SQS are not, since a poll can take 20 s.
"""


@contextmanager
def moto_server(address: str = LOOPBACK) -> Iterator[S3Endpoint]:
    """Run moto's server for S3 and SQS, and yield its endpoint.

    Args:
        address: the address to listen on; to serve containers, pass the address of their network's gateway.

    Raises:
        RuntimeError: it did not start.
    """
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER_SCRIPT, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None  # noqa: S101 - Popen was called with PIPE
        assert process.stdout is not None  # noqa: S101 - Popen was called with PIPE
        port = process.stdout.readline().strip()
        if not port:
            message = "moto's server did not start: see its output on standard error; is the extra `harness` installed?"
            raise RuntimeError(message)
        try:
            yield S3Endpoint(f"http://{address}:{port}", "test-key", "test-secret")
        finally:
            process.stdin.close()
