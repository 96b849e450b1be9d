"""Further ports of the store proxy, which a listener or a thread with a lock may open."""

import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from harness.stores.bucket import S3Endpoint
from harness.stores.proxy import Listener, Request, StoreProxy


class Waits(Listener):
    """A listener that needs a lock, as the one that records a history."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.has_begun = threading.Event()

    def on_request(self, number: int, request: Request) -> None:
        """Wait for the lock."""
        del number, request
        self.has_begun.set()
        with self.lock:
            pass


def status_of(url: str) -> int:
    """Return the status of a GET."""
    with urllib.request.urlopen(url) as response:
        return int(response.status)


def test_a_port_is_opened_while_the_proxy_waits_for_the_caller(cryo_moto: S3Endpoint):
    """A trigger that starts a worker holds the lock of the history, for which the proxy waits with a request."""
    listener = Waits()
    with StoreProxy(cryo_moto.url, listener=listener) as proxy, ThreadPoolExecutor() as clients:
        with listener.lock:
            first = clients.submit(status_of, proxy.url)
            assert listener.has_begun.wait(30)
            url = clients.submit(proxy.open_port).result(30)
            second = clients.submit(status_of, url)
        assert (first.result(30), second.result(30)) == (200, 200)
