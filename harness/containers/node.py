"""anvil, a real Ethereum node for tests, as a process on this machine, without a container engine."""

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
    # A block is final after two epochs; with epochs of one slot `finalized` stays close to the head.
    "--slots-in-an-epoch", "1", "--order", "fifo", "--no-mining", "--timestamp", str(GENESIS_TIME),
)  # fmt: skip
"""The arguments of every anvil, as a process and in a container."""


@dataclass(frozen=True, slots=True)
class Anvil:
    """A node with a mined chain: its URL and the contents of the chain."""

    url: str
    mined: Mined


@contextmanager
def anvil_process(say: Callable[[str], None] = lambda _text: None) -> Iterator[Anvil]:
    """Run anvil on a free port of 127.0.0.1, mine the test chain, and stop it afterwards.

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
            # anvil prints a line per request, which must not fill the pipe; --quiet would also hide the port.
            Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
            yield Anvil(url, mine(url))
        finally:
            process.kill()
            process.wait()


def _listening(output: Iterable[str]) -> str:
    lines = []
    for line in output:
        lines.append(line)
        listening = re.match(r"Listening on (\S+)", line)
        if listening:
            return f"http://{listening[1]}"
    raise EngineError(f"anvil did not start: {''.join(lines[-5:])}")
