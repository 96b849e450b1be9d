"""Faults of fake Cryo, in the `faults` of its `harness_script`.

A fault is an object; `do` is its name. `chunk` selects a chunk by its index (0 is the first), `after_chunks` is the
number of chunks that are written before the fault applies. With an unknown fault, fake Cryo exits with code 2.
The format is `harness/schemas/harness_script.json`, version 1; a pool rejects an invalid script before anything runs.

    exit {code, after_chunks}          exits immediately, without the final report
    signal {number, after_chunks}      sends itself this signal
    hang {when}                        hangs before, during (a file is half written) or after the writing
    fail_chunk {chunk, message}        the chunk fails: no file, exit code 1
    omit_chunk {chunk}                 no file, but exit code 0
    omit_rows {chunk, every}           every nth row is missing, exit code 0
    omit_blocks {chunk, first, last}   no row of these blocks, exit code 0
    omit_transactions {chunk, every}   no row of every nth transaction, exit code 0
    replace_block {block, by}          the rows of block `by` replace those of block `block`
    leave_temporary {chunk}            a complete `_tmp` file that was not renamed
    truncate_file {chunk, bytes}       the file's last bytes are missing
    empty_file {chunk}                 0 bytes
    wrong_schema {chunk}               the first column has another name
    extra_file {name}                  one more Parquet file, with this name
    disk_full {chunk}                  half a `_tmp` file; the chunk fails
    grow {bytes, step_bytes}           a file that grows to this size in steps, then a hang
    flood {bytes}                      this amount of output
    print_url {}                       the endpoint's URL on stderr
    ignore_sigterm {}                  SIGTERM has no effect
    orphan {}                          a child process that continues after Cryo's end
    read_blocks {}                     no fault: reads every block from the endpoint, as Cryo does (read.py)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.fakes.cryo.arguments import EarlyExit

if TYPE_CHECKING:
    from pathlib import Path

NAMES = frozenset(
    (
        *(
            "exit",
            "signal",
            "hang",
            "fail_chunk",
            "omit_chunk",
            "omit_rows",
            "omit_blocks",
            "omit_transactions",
            "replace_block",
            "leave_temporary",
        ),
        *("truncate_file", "empty_file", "wrong_schema", "extra_file", "disk_full", "grow", "flood", "print_url"),
        *("ignore_sigterm", "orphan", "read_blocks"),
    )
)
_LINE = "fake-cryo floods its output " * 4


@dataclass(frozen=True, slots=True)
class CryoFaults:
    """The faults of one run, in the order of the script."""

    faults: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, script: dict[str, Any]) -> CryoFaults:
        """Read the faults of a script.

        Raises:
            EarlyExit: one of them is not modelled.
        """
        faults = tuple(script.get("faults", ()))
        unknown = [str(fault.get("do")) for fault in faults if fault.get("do") not in NAMES]
        if unknown:
            raise EarlyExit(f"error: fake-cryo does not model the fault {', '.join(unknown)}")
        return cls(faults)

    def find(self, name: str, **fields: Any) -> dict[str, Any] | None:
        """Return the first fault with this name and these fields."""
        for fault in self.faults:
            if fault["do"] == name and all(fault.get(key) == value for key, value in fields.items()):
                return fault
        return None

    def begin(self, url: str | None) -> None:
        """Carry out the faults that apply before anything is written."""
        if self.find("ignore_sigterm"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.find("orphan"):
            subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S607
        if self.find("print_url"):
            print(f"error sending request for url ({url})", file=sys.stderr, flush=True)  # noqa: T201
        if flood := self.find("flood"):
            for _ in range(flood["bytes"] // (len(_LINE) + 1)):
                print(_LINE)  # noqa: T201
            sys.stdout.flush()
        if self.find("hang", when="before"):
            hang()

    def after(self, chunks: int) -> None:
        """End the process if a fault requires it after this number of written chunks."""
        if ending := self.find("exit", after_chunks=chunks):
            sys.stdout.flush()
            os._exit(ending["code"])
        if killed := self.find("signal", after_chunks=chunks):
            sys.stdout.flush()
            os.kill(os.getpid(), killed["number"])
            hang()

    def damage_file(self, path: Path, chunk: int) -> None:
        """Damage a complete file."""
        if cut := self.find("truncate_file", chunk=chunk):
            os.truncate(path, max(0, path.stat().st_size - cut["bytes"]))
        if self.find("empty_file", chunk=chunk):
            os.truncate(path, 0)

    def grow(self, directory: Path) -> None:
        """If a fault requires it, write a growing file and then hang."""
        if growth := self.find("grow"):
            with (directory / "growing._tmp").open("wb") as file:
                for _ in range(0, growth["bytes"], growth["step_bytes"]):
                    file.write(bytes(growth["step_bytes"]))
                    file.flush()
                    threading.Event().wait(growth.get("pause_seconds", 0.02))
            hang()


def hang() -> None:
    """Wait for a signal that ends the process."""
    while True:
        signal.pause()
