"""Reading a chunk's blocks from the endpoint, as real Cryo does, if the script has `read_blocks`.

Fake Cryo computes its rows from the chain and needs no answer. With `read_blocks` it sends the calls of real Cryo all
the same, several at a time and one in a request, and a bad answer costs the whole chunk. So a scenario with a failing
node tests what is between Cryo and the node without real Cryo.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from harness.fakes.cryo.arguments import EarlyExit
from harness.fakes.cryo.ranges import CryoError
from harness.fakes.cryo.source import call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.fakes.cryo.arguments import Arguments

CONCURRENT_CALLS = 16
"""Fewer than Cryo's 100, because a scenario shares its machine with others."""
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

Call = tuple[str, tuple[Any, ...]]


class Reader:
    """Sends the calls for the chunks of one run, at most `--requests-per-second` of them a second."""

    def __init__(self, url: str, dataset: str, arguments: Arguments) -> None:
        if dataset not in {"blocks", "transactions", "logs", "erc20_transfers", "erc721_transfers", "traces"}:
            raise EarlyExit(f"error: fake-cryo does not model read_blocks for {dataset}")
        self._url, self._dataset = url, dataset
        self._step: int = arguments.inner_request_size
        self._pause_seconds = 1 / arguments.requests_per_second if arguments.requests_per_second else 0.0
        self._lock, self._next = threading.Lock(), time.monotonic()

    def error(self, numbers: list[int]) -> str | None:
        """Read the blocks of a chunk, and return the message of the first bad answer, or None.

        As in Cryo, the calls that have not been sent when a call fails are not sent any more.
        """
        failed = threading.Event()

        def read(request: Call) -> None:
            if not failed.is_set():
                try:
                    self._read(*request)
                except CryoError:
                    failed.set()
                    raise

        with ThreadPoolExecutor(CONCURRENT_CALLS) as pool:
            futures = [pool.submit(read, request) for request in self._calls(numbers)]
        errors = [error for future in futures if (error := future.exception()) is not None]
        unexpected = [error for error in errors if not isinstance(error, CryoError)]
        if unexpected:
            raise unexpected[0]
        return str(errors[0]) if errors else None

    def _calls(self, numbers: list[int]) -> Iterator[Call]:
        match self._dataset:
            case "blocks" | "transactions":
                is_hydrated = self._dataset == "transactions"
                for number in numbers:
                    yield "eth_getBlockByNumber", (hex(number), is_hydrated)
                    if is_hydrated:
                        yield "eth_getBlockReceipts", (hex(number),)
            case "traces":
                yield from (("trace_block", (hex(number),)) for number in numbers)
            case _:
                topics = {} if self._dataset == "logs" else {"topics": [TRANSFER]}
                for at in range(0, len(numbers), self._step):
                    part = numbers[at : at + self._step]
                    yield "eth_getLogs", ({"fromBlock": hex(part[0]), "toBlock": hex(part[-1]), **topics},)

    def _read(self, method: str, params: tuple[Any, ...]) -> None:
        """Send one call.

        Raises:
            CryoError: Cryo can't use the answer.
        """
        with self._lock:
            now = time.monotonic()
            self._next = max(now, self._next) + self._pause_seconds
            wait = self._next - self._pause_seconds - now
        if wait > 0:
            time.sleep(wait)
        result = call(self._url, method, *params)
        if result is None:
            raise CryoError("Collect failed: block not found")
        if not isinstance(result, dict if method == "eth_getBlockByNumber" else list):
            raise CryoError(f"Failed to get block: deserialization error: invalid type: {type(result).__name__}")
        if isinstance(result, dict) and result.get("number") != params[0]:
            raise CryoError("Collect failed: block not found")
