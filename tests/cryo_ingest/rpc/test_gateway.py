"""The gateway itself: what happens to calls when something other than a node fails."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from support.virtual_loop import LoopClock, run_virtually

from cryo_ingest.errors import MachineFailed
from cryo_ingest.ports import Call, NodeError
from cryo_ingest.rpc.evidence import Evidence, Records
from cryo_ingest.rpc.gateway import Gateway
from cryo_ingest.rpc.pool import Pool
from harness.fakes.rpc import Node
from harness.fakes.rpc.methods import answer
from harness.world.chain import Chain

CHAIN = Node(Chain(1), head=10_000)
BLOCKS = range(500, 510)
HEADER = "eth_getBlockByNumber"


class CorrectPool:
    """Answers each call correctly."""

    name = "it"
    billed_calls = 0

    async def send(
        self, calls: Sequence[tuple[int, Call]], deliver: Callable[[int, bytes | NodeError], None], *, patient: bool
    ) -> None:
        """Answer calls."""
        assert patient
        for index, call in calls:
            deliver(index, answer(CHAIN, call.method, list(call.params)).encode())


class FullDisk(Records):
    """Cannot keep one of the blocks."""

    def keep(self, number: int, value: object) -> None:
        """Keep the others."""
        if number == BLOCKS[3]:
            raise MachineFailed(reason="No space left on device")
        super().keep(number, value)


def requests(gateway: Gateway) -> list[bytes]:
    """Send a call for each block, and return the list to which the answers are added."""
    replies: list[bytes] = []
    for number in BLOCKS:
        call = {"jsonrpc": "2.0", "id": number, "method": HEADER, "params": [hex(number), False]}
        gateway.handle(json.dumps(call).encode(), replies.append)
    return replies


def test_out_4_an_answer_that_cannot_be_kept_ends_the_attempt(tmp_path: Path):
    """OUT-4: the other calls of its batch are answered, and the error is not lost in a task."""

    async def main() -> tuple[list[bytes], BaseException | None]:
        evidence = Evidence(FullDisk(BLOCKS, tmp_path), Records(BLOCKS, tmp_path))
        gateway = Gateway(cast("Pool", CorrectPool()), LoopClock(), str, evidence)
        replies = requests(gateway)
        await LoopClock().sleep(1)
        await gateway.close()
        evidence.close()
        return replies, gateway.failed.exception()

    replies, failure = run_virtually(main())
    assert isinstance(failure, MachineFailed)
    answered: list[Any] = [json.loads(reply)["id"] for reply in replies]
    assert answered == [number for number in BLOCKS if number != BLOCKS[3]]


def test_nothing_is_asked_after_the_end():
    """A client may send while the gateway closes; its calls would outlive the pool's connections."""

    async def main() -> list[bytes]:
        gateway = Gateway(cast("Pool", CorrectPool()), LoopClock(), str)
        await gateway.close()
        replies = requests(gateway)
        await LoopClock().sleep(1)
        return replies

    assert run_virtually(main()) == []
