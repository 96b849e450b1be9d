"""The gateway: an HTTP server on loopback from which Cryo reads, instead of the node (RPC-1 to RPC-4).

It answers each call of Cryo with a call to the pool, which repeats and limits it. So Cryo, which loses 1,000 blocks by
one bad answer, sees only good answers and final errors. This is the smallest gateway that works: a thread for each
connection, no batches, no second copy of an answer.
"""

from __future__ import annotations

import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from harness.reference.bugs import has_bug
from harness.reference.errors import AttemptError, LeaseLost
from harness.reference.rpc import RpcError

if TYPE_CHECKING:
    from harness.reference.pool import Pool

INTERNAL_ERROR = -32603


class Gateway:
    """Serves during its `with` block; only who knows the random path of `url` gets answers."""

    def __init__(self, pool: Pool) -> None:
        path = f"/{secrets.token_urlsafe(16)}"

        class Handler(_Handler):
            def do_POST(self) -> None:
                if self.path == path:
                    self.reply(pool)
                else:
                    self.send_error(404)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}{path}"
        if has_bug("cryo-reads-from-the-pool") or has_bug("url-in-arguments"):
            self.url = pool.endpoint.url

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a thread may still wait for the node when Cryo is dead
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: Cryo has closed its connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet
    disable_nagle_algorithm = True

    def reply(self, pool: Pool) -> None:
        """Answer one request: a call or a batch of calls."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        calls = request if isinstance(request, list) else [request]
        answers = [_answer(pool, call) for call in calls]
        body = json.dumps(answers if isinstance(request, list) else answers[0]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """Write nothing: there would be a line for each call."""


def _answer(pool: Pool, call: dict[str, Any]) -> dict[str, Any]:
    error: dict[str, Any]
    try:
        result = pool.call(call["method"], *call.get("params", ()))
    except RpcError as refused:
        error = {"code": refused.code, "message": refused.message}
    except (AttemptError, LeaseLost) as failed:
        error = {"code": INTERNAL_ERROR, "message": str(failed)}
    else:
        return {"jsonrpc": "2.0", "id": call.get("id"), "result": result}
    return {"jsonrpc": "2.0", "id": call.get("id"), "error": error}
