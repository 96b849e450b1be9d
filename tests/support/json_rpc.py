"""A JSON-RPC server on loopback; a test's function computes each HTTP response from the request's body."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support.scripted_http import Answer

Reply = Callable[[Any], "Answer | None"]
"""Takes the parsed body, a call or a batch; None gives every call its true result."""


@dataclass
class Served:
    """The server's URL, and the requests that it received."""

    url: str
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        """The number of calls in each request."""
        return [len(body) if isinstance(body, list) else 1 for body in self.bodies]


def result_of(call: Any) -> str:
    """Return the result of a call: its method and its parameters, so that no two are equal."""
    return f"{call['method']}{call['params']}"


def truth(body: Any) -> Any:
    """Return the true answer to a body."""
    if isinstance(body, list):
        return [truth(call) for call in body]
    return {"jsonrpc": "2.0", "id": body["id"], "result": result_of(body)}


def error(code: int, message: str, call: Any = None) -> dict[str, Any]:
    """Return an error's envelope, with a null id if it is not about one call."""
    return {"jsonrpc": "2.0", "id": call and call["id"], "error": {"code": code, "message": message}}


def answer(value: Any, status: int = 200, **headers: str) -> Answer:
    """Return an HTTP response with a JSON body."""
    return Answer(status, json.dumps(value).encode(), tuple(headers.items()))


def each(body: Any, make: Callable[[Any], Any]) -> Answer:
    """Answer every call of a body separately."""
    return answer([make(call) for call in body] if isinstance(body, list) else make(body))


@contextmanager
def json_rpc(reply: Reply) -> Iterator[Served]:
    """Serve until the `with` block ends; a response without a status closes the connection instead."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one TCP segment for each response: two would wait for an acknowledgement

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.bodies.append(body)
            served.headers.append({name.lower(): value for name, value in self.headers.items()})
            served.paths.append(self.path)
            given = reply(body) or answer(truth(body))
            if given.status is None:
                self.close_connection = True
                return
            self.send_response(given.status)
            for name, value in given.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # with the default of 5, each further connection takes a second

    with Server(("127.0.0.1", 0), Handler) as server:
        served = Served(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
