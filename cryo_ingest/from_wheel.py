"""`cryo-from-wheel`: a `cryo` executable over the PyPI wheel of Cryo 0.3.2, which ships none.

It hands its arguments to the genuine command line inside the wheel and ends as the genuine `main` would: 0 when no
chunk failed, 1 when one did or the command failed, 2 for a usage error (clap's own exit), 101 for a panic. One thing is
lost on the way: where the command itself fails, the wheel says only «failed», not why. The program knows nothing of
tasks.
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
    """Return the extension module that holds Cryo, whose SHA-256 is its identity, or None where it is not installed."""
    try:
        spec = importlib.util.find_spec(EXTENSION)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def main() -> None:
    """Run Cryo's command line with this process's arguments and exit as it would."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # The wheel's runtime crashes in about one of ten orderly interpreter exits (real-cryo-0.3.2.md, section 0, no. 17).
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run Cryo once and return its exit code; a usage error ends the process inside the wheel."""
    torn = [argument for argument in arguments if not argument or len(argument.split()) != 1]
    if torn:
        # The wheel splits its command at white space, so these would arrive as something else.
        sys.stderr.write(
            f"cryo-from-wheel: an argument that is empty or has white space can't be passed: {torn[0]!r}\n"
        )
        return USAGE
    if genuine_binary() is None:
        sys.stderr.write(
            "cryo-from-wheel: the wheel of Cryo 0.3.2 is not installed: pip install 'cryo-ingest[cryo]', CPython 3.11\n"
        )
        return NOT_INSTALLED
    import asyncio  # noqa: PLC0415 - only with a wheel to run

    return asyncio.run(_freeze(" ".join(["cryo", *arguments])))


async def _freeze(command: str) -> int:
    from cryo._cryo_rust import _freeze as freeze  # noqa: PLC0415 - 55 MB, loaded when it runs

    try:
        result = await freeze(command=command)
    except TypeError as error:
        sys.stdout.write(f"{error}\n")
        return FAILED
    except Exception as error:  # noqa: BLE001 - the wheel's RustPanic is no importable type
        sys.stderr.write(f"{error}\n")
        return PANICKED
    return FAILED if result and result["n_errored"] else 0
