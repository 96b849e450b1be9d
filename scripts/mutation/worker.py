"""Starts a worker with a mutant, or one whose lines are recorded; the target of scenarios.

python scripts/mutation/worker.py mutant FILE PACKAGE WORD…
python scripts/mutation/worker.py record FOLDER PACKAGE WORD…
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

SCRIPTS = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(SCRIPTS), str(SCRIPTS.parent / "tests")]


def main() -> None:
    """Run the worker's command line."""
    what, where, package = sys.argv[1:4]
    sys.argv = [package, *sys.argv[4:]]
    if what == "mutant":
        from mutation.mutant import load  # noqa: PLC0415 - a recorded worker needs no mutant
        from mutation.planting import plant  # noqa: PLC0415 - as above

        plant(load(Path(where)))
    else:
        record(Path(where), package)
    import_module(f"{package}.cli").main()


def record(folder: Path, package: str) -> None:
    """Record the lines that this process executes until its end, however it ends, except by SIGKILL."""
    from coverage import Coverage  # noqa: PLC0415 - a mutant is not recorded

    coverage = Coverage(
        data_file=folder / "lines", data_suffix=True, source_pkgs=[package], config_file=False, messages=False
    )
    leave = os._exit

    def save_and_leave(status: int) -> NoReturn:
        coverage.stop()
        coverage.save()
        leave(status)

    os._exit = save_and_leave  # both workers end so
    coverage.start()


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
