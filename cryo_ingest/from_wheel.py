"""A `cryo` executable over the PyPI wheel of Cryo 0.3.2, which ships none: the console script `cryo-from-wheel`.

The wheel holds the genuine command line inside its extension module; this module hands it the arguments and ends with
the exit code that Cryo's own `main.rs` would give. It owns nothing else: no argument is read, changed or defaulted
here. Standard library and the wheel only, so that a run starts fast.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_PANIC, EXIT_NO_WHEEL = 0, 1, 2, 101, 127
"""Cryo's `main.rs` gives 0 and 1, clap 2, a Rust panic 101; 127 is the shell's word for a command that is not there."""


class WheelMissing(ImportError):
    """This interpreter has no importable wheel of Cryo."""

    def __init__(self) -> None:
        super().__init__(
            "cryo-from-wheel: the PyPI wheel cryo==0.3.2 is not installed for this interpreter "
            f"(CPython {sys.version_info.major}.{sys.version_info.minor}). Install this package with its extra `cryo` "
            "under CPython 3.11, or build Cryo 0.3.2 from source"
        )


def genuine_binary() -> Path:
    """Return the path of the wheel's extension module, Cryo's own machine code, without importing it.

    Its SHA-256 says which Cryo ran; this script's own would say nothing.

    Raises:
        WheelMissing: there is no wheel for this interpreter.
    """
    package = importlib.util.find_spec("cryo")
    for directory in (package and package.submodule_search_locations) or ():
        for suffix in EXTENSION_SUFFIXES:
            candidate = Path(directory) / f"_cryo_rust{suffix}"
            if candidate.is_file():
                return candidate
    raise WheelMissing


def unpassable(arguments: Sequence[str]) -> list[str]:
    """List the arguments that would not arrive as they are: the wheel takes one string and splits it at white space."""
    return [argument for argument in arguments if argument.split() != [argument]]


async def _freeze(command: str) -> int:
    """Run one command line inside the wheel, and return the exit code of `main.rs` for its result."""
    from cryo import _cryo_rust  # noqa: PLC0415 (54 MB of machine code: not before it is known to be there)

    try:
        result = await _cryo_rust._freeze(command=command)  # noqa: SLF001 (the wheel's only way in)
    except TypeError:
        # `main.rs` prints the error here; the wheel throws its text away (python/rust/freeze_adapter.rs).
        print("cryo failed before collecting anything (the PyPI wheel does not say why)")  # noqa: T201
        return EXIT_FAILED
    except Exception as error:
        if type(error).__name__ == "RustPanic":
            return EXIT_PANIC
        raise
    return EXIT_FAILED if result is not None and result["n_errored"] else EXIT_OK


def main() -> NoReturn:
    """Run Cryo with this process's arguments and end as it would.

    `os._exit` because the wheel's threads crash about one interpreter shutdown in ten; SIGINT is given back its
    default action, which is what a Rust program has.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        genuine_binary()
    except WheelMissing as error:
        _end(EXIT_NO_WHEEL, str(error))
    mangled = unpassable(sys.argv[1:])
    if mangled:
        _end(
            EXIT_USAGE,
            f"cryo-from-wheel: the wheel can't take an argument that is empty or holds white space: {mangled!r}. "
            "Use a path without spaces, or change into the directory and leave --output-dir out",
        )
    _end(asyncio.run(_freeze(" ".join(["cryo", *sys.argv[1:]]))))


def _end(code: int, message: str = "") -> NoReturn:
    if message:
        print(message, file=sys.stderr)  # noqa: T201
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
