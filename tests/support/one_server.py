"""One HTTP server as node of another chain, empty bucket, queue and dispatcher.

It answers requests for any host, so it also serves as a proxy, and it can use TLS with a certificate of a private
authority.
"""

import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TASK_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
EMPTY_LISTING = (
    b"<ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
)


@dataclass
class OneServer:
    """The server's URL, and the services that received requests: `node`, `store`, `queue`, `dispatcher`."""

    url: str
    asked: set[str] = field(default_factory=set)


@contextmanager
def one_server(certificate: Path | None = None) -> Iterator[OneServer]:
    """Serve until the `with` block ends; `certificate` is a file with a key and its certificate."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = self.answer(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_any  # noqa: N815 - the base class's names

        def answer(self, body: bytes) -> tuple[int, bytes]:
            target = self.headers.get("X-Amz-Target", "")
            if target:
                server.asked.add("queue")
                message = {"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps({"task_id": TASK_ID})}
                return 200, json.dumps({"Messages": [message]} if target.endswith("ReceiveMessage") else {}).encode()
            if self.path.endswith("/internal/task-claim"):
                server.asked.add("dispatcher")
                return 409, b""
            if self.command == "GET":
                server.asked.add("store")
                return 200, EMPTY_LISTING
            server.asked.add("node")
            return 200, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": "0x7"}).encode()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "http" if certificate is None else "https"
        server = OneServer(f"{scheme}://127.0.0.1:{listening.server_port}")
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def private_authority(folder: Path) -> tuple[Path, Path]:
    """Create a private authority; return files with its certificate, and with a server's key and certificate."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def signed(subject: str, of: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("private authority"))
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(authority, hashes.SHA256())

    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    trusted, served = folder / "authority.pem", folder / "server.pem"
    trusted.write_bytes(signed("private authority", authority, is_authority=True).public_bytes(pem))
    certificate = signed("127.0.0.1", key, is_authority=False)
    served.write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()) + certificate.public_bytes(pem))
    return trusted, served
