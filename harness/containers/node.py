"""anvil, a real Ethereum node for tests, as a process of this machine: no container and no engine needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING

from harness.containers.anvil_chain import GENESIS_TIME, Mined, mine
from harness.containers.engine import EngineError
from harness.containers.packages import anvil_binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ARGUMENTS = (
    # A block is final two epochs on: with epochs of one slot, `finalized` follows the head.
    "--slots-in-an-epoch", "1", "--order", "fifo", "--no-mining", "--timestamp", str(GENESIS_TIME),
)  # fmt: skip
"""What every anvil of ours is started with, in a container too."""


@dataclass(frozen=True, slots=True)
class Anvil:
    """A mined chain behind a node: where it is and what is on it."""

    url: str
    mined: Mined


@contextmanager
def anvil_process(say: Callable[[str], None] = lambda _text: None) -> Iterator[Anvil]:
    """Run anvil on a free port of 127.0.0.1, mine the test chain, and end it afterwards.

    Raises:
        EngineError: it could not be installed, or did not start.
    """
    setpriv = shutil.which("setpriv")
    wrapper = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    command = [*wrapper, str(anvil_binary(say)), "--host", "127.0.0.1", "--port", "0", *ARGUMENTS]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            url = _listening(process.stdout)
            # A line per request follows, which must not fill the pipe; --quiet would hide the port as well.
            Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
            yield Anvil(url, mine(url))
        finally:
            process.kill()
            process.wait()


def _listening(output: Iterable[str]) -> str:
    words = []
    for line in output:
        words.append(line)
        found = re.match(r"Listening on (\S+)", line)
        if found:
            return f"http://{found[1]}"
    raise EngineError(f"anvil did not start: {''.join(words[-5:])}")
