"""`cryo-from-wheel`: a `cryo` executable based on the PyPI wheel of Cryo 0.3.2, which has none.

It passes its arguments to Cryo's command line inside the wheel and exits as Cryo's `main` would: 0 if no chunk failed,
1 if one did or the command failed, 2 for a usage error (clap's own exit), 101 for a panic. If the command itself fails,
the wheel prints only «failed», without the reason.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path

EXTENSION = "cryo._cryo_rust"
FAILED, USAGE, PANICKED, NOT_INSTALLED = 1, 2, 101, 127


def genuine_binary() -> Path | None:
    """Return the path of the extension module that contains Cryo, None if it is not installed."""
    try:
        spec = importlib.util.find_spec(EXTENSION)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def main() -> None:
    """Run Cryo's command line with this process's arguments and exit with its code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # The wheel's runtime crashes in about one of ten normal interpreter exits (measured on Cryo 0.3.2).
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run Cryo once and return its exit code; a usage error ends the process inside the wheel."""
    unusable = [argument for argument in arguments if not argument or len(argument.split()) != 1]
    if unusable:
        # The wheel splits its command at white space, so these arguments would be changed.
        sys.stderr.write(
            f"cryo-from-wheel: an argument that is empty or has white space can't be passed: {unusable[0]!r}\n"
        )
        return USAGE
    if genuine_binary() is None:
        sys.stderr.write(
            "cryo-from-wheel: the wheel of Cryo 0.3.2 is not installed: pip install 'cryo==0.3.2' (CPython 3.11)\n"
        )
        return NOT_INSTALLED
    import asyncio  # noqa: PLC0415 - only needed with a wheel

    return asyncio.run(_freeze(" ".join(["cryo", *arguments])))


async def _freeze(command: str) -> int:
    from cryo._cryo_rust import _freeze as freeze  # noqa: PLC0415 - 55 MB

    try:
        result = await freeze(command=command)
    except TypeError as error:
        sys.stdout.write(f"{error}\n")
        return FAILED
    except Exception as error:  # noqa: BLE001 - the wheel's RustPanic can't be imported
        sys.stderr.write(f"{error}\n")
        return PANICKED
    return FAILED if result and result["n_errored"] else 0
