"""SEC-1, SEC-2: a secret in the endpoint's URL gets nowhere, whatever the mode and however the attempt ends."""

import os

import pytest
from support.processes import command_lines, descendants
from support.worker import CHAIN_ID, PAYLOAD, Target, Worker

from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import RpcPool
from harness.faults.rpc import Hang, Status
from harness.world.chain import Chain

NODE = Node(Chain(CHAIN_ID), head=1_000_000)
MAX_LOOKS = 20
CANARIES = ("us3r-canary", "p4ss-canary", "p4th-canary", "qu3ry-canary")

ENDINGS = {
    "success": [],
    "failed calls": [Status(500, method="eth_getBlockByNumber", block=600)],
    # The worker asks first: the second call is Cryo's.
    "no chain id": [Status(401, method="eth_chainId", nth=2)],
    "refused at once": [Status(401, method="eth_chainId")],
    "deadline": [Hang(method="eth_getBlockByNumber", block=600)],
}


def secret_url(url: str) -> str:
    """Put a canary into every part of a URL that may hold a key."""
    user, password, path, query = CANARIES
    return f"{url.replace('://', f'://{user}:{password}@')}/{path}/rpc?apikey={query}"


class ArgumentsWatch:
    """Collects the command lines of every process that the machine runs while a worker does."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.own: set[bytes] = set()
        self.looks = 0

    def look(self, *_: object) -> None:
        """Read them all once; done at the first calls that the endpoint gets."""
        self.looks += 1
        if self.looks > MAX_LOOKS:
            return
        self.seen.update(command_lines().values())
        # Another test's Cryo may run at the same time.
        self.own.update(descendants(os.getpid()).values())


@pytest.mark.parametrize(
    ("program", "ending"),
    [
        ("fake-cryo", "success"),
        ("fake-cryo", "no chain id"),
        ("fake-cryo", "refused at once"),
        *(pytest.param("cryo-from-wheel", ending, marks=pytest.mark.real_cryo) for ending in ENDINGS),
    ],
)
def test_sec_1_no_part_of_the_url_is_in_any_output_file_object_or_argument(
    program: str, ending: str, moto_target: Target, worker: Worker
):
    """SEC-1, SEC-2: real mode, on success and on each kind of failure; Cryo itself prints the URL every time."""
    watch = ArgumentsWatch()
    with RpcPool(NODE, ENDINGS[ending]) as pool:
        pool.on_call(watch.look)
        result = worker.run(
            moto_target,
            TRACE_CRYO_MODE="real",
            TRACE_CRYO_BIN=program,
            TRACE_RPC_POOL_LOCAL_URL=secret_url(pool.url),
            TRACE_CRYO_DEADLINE_SECONDS="4" if ending == "deadline" else "60",
        )
        assert pool.journal
    assert (result.returncode == 0) is (ending == "success"), result.stderr
    started = any(b"--blocks\x00500:2700" in command for command in watch.own)
    assert started is (ending != "refused at once")
    places = [result.stdout.encode(), result.stderr.encode(), *watch.seen, *moto_target.contents().values()]
    places += [path.read_bytes() for path in worker.folder.rglob("*") if path.is_file()]
    assert moto_target.bucket is not None
    places += [repr(moto_target.bucket.metadata(key)).encode() for key in moto_target.contents()]
    for canary in CANARIES:
        assert [place for place in places if canary.encode() in place] == []


def test_sec_1_fake_mode_does_not_even_look_at_the_url(file_target: Target, worker: Worker):
    """SEC-1, MOD-1: the variables may be set; their values are in no output and no file."""
    url = secret_url("http://127.0.0.1:9")
    urls = {"TRACE_RPC_POOL_LOCAL_URL": url, "TRACE_CRYO_RPC_URL": url}
    result = worker.run(file_target, TRACE_CRYO_MODE="fake", **urls)
    assert result.returncode == 0, result.stderr
    text = result.stdout + result.stderr + repr(file_target.contents())
    assert not any(canary in text for canary in CANARIES)


def test_sec_1_a_url_in_the_payload_is_refused_without_being_repeated(file_target: Target, worker: Worker):
    """SEC-1, PAY-1: a pool is a name; who writes a URL there has leaked it once, and not a second time."""
    result = worker.run(file_target, PAYLOAD | {"rpc_pool": secret_url("http://node.example")})
    assert result.returncode == 65
    assert not any(canary in result.stderr for canary in CANARIES)
