"""The executable `fake-cryo`, with the exit codes and streams of the real `main.rs` and of clap.

Exit codes: 0 success; 1 a chunk failed, or an error with its message on stdout; 2 clap or the fake rejects the command
line, with the message on stderr.
"""

from __future__ import annotations

import gc
import sys

from harness.fakes.cryo.arguments import EarlyExit, parse
from harness.fakes.cryo.ranges import CryoError


def main() -> None:
    """Run fake Cryo with this process's arguments."""
    gc.disable()  # there are hundreds of thousands of row tuples without cycles: collection takes a tenth of the time
    sys.exit(_exit_code(sys.argv[1:]))


def _exit_code(argv: list[str]) -> int:
    try:
        arguments = parse(argv)
        if not arguments.datatype:
            raise CryoError("could not load remembered command")  # noqa: TRY301 (as Cryo does)
        from harness.fakes.cryo.run import run  # noqa: PLC0415 (a rejected command line needs no imports)

        return run(arguments, argv)
    except CryoError as error:
        print(error)  # noqa: T201
        return 1
    except EarlyExit as early:
        print(early, file=sys.stderr if early.code else sys.stdout)
        return early.code
