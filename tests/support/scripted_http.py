"""An HTTP server on loopback that gives every request the same response and records the requests."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response; without a status the connection is closed instead."""

    status: int | None
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Scripted:
    """The server's URL, and the requests that it received."""

    url: str
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


def error(status: int, code: str) -> Answer:
    """Return an error response of S3, with a message that could be mistaken for another error."""
    words = "credentials http://169.254.169.254/latest/ (code: AccessDenied) sending request"
    return Answer(status, f"<Error><Code>{code}</Code><Message>{words}</Message></Error>".encode())


@contextmanager
def scripted_http(answer: Answer) -> Iterator[Scripted]:
    """Serve until the `with` block ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            scripted.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            scripted.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            if answer.status is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_HEAD = do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        scripted = Scripted(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield scripted
        finally:
            server.shutdown()
            thread.join()
