"""The executable `fake-cryo`: exit codes and streams as the real `main.rs` and clap have them.

0 done; 1 a chunk failed, or a message on stdout; 2 a command line that clap or the fake refuses, on stderr.
"""

from __future__ import annotations

import gc
import sys

from harness.fakes.cryo.arguments import EarlyExit, parse
from harness.fakes.cryo.ranges import CryoError


def main() -> None:
    """Run fake Cryo with this process's arguments."""
    gc.disable()  # rows are tuples by the hundred thousand and never form cycles: collecting costs a tenth of a run
    sys.exit(_exit_code(sys.argv[1:]))


def _exit_code(argv: list[str]) -> int:
    try:
        arguments = parse(argv)
        if not arguments.datatype:
            raise CryoError("could not load remembered command")  # noqa: TRY301 (Cryo's own refusal)
        from harness.fakes.cryo.run import run  # noqa: PLC0415 (a refused command line imports nothing)

        return run(arguments, argv)
    except CryoError as error:
        print(error)  # noqa: T201
        return 1
    except EarlyExit as ending:
        print(ending, file=sys.stderr if ending.code else sys.stdout)
        return ending.code
