#!/usr/bin/env python3
"""Builds the Go worker of this folder, once for each state of its sources, into the harness's cache.

`tests/foreign/build.py [--bug NAME] WORD…` builds it and becomes it, started with these words: the same process, so
that signals reach the worker. Without any word it prints the path of the binary. What can't be built is said on
standard error, with exit code 69.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from pathlib import Path

from harness.containers.cache import cached
from harness.containers.engine import EngineError
from harness.containers.packages import run, tool

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "worker"
OFFLINE = {
    "GOFLAGS": "-mod=readonly -buildvcs=false",
    "GOTOOLCHAIN": "local",
    "CGO_ENABLED": "0",
    # Where Go has its caches; a worker that is judged is given no HOME.
    "HOME": str(Path.home()),
}
"""With warm caches nothing is fetched: the pins of go.sum stand, and the toolchain is this machine's."""


class BuildFailed(Exception):
    """The sources, or a bug's patch, are broken: this is no lack of the machine's."""


def bugs() -> dict[str, Path]:
    """Return the patches that break the worker, by name."""
    return {path.stem: path for path in sorted((HERE / "bugs").glob("*.patch"))}


def go() -> str:
    """Return the path of Go, all modules being in its cache.

    Raises:
        EngineError: there is no Go, or the modules can't be fetched.
    """
    found = tool("go", why="the foreign worker", instead="do without its tests")
    run([found, "mod", "download"], what="fetching the foreign worker's modules", folder=SOURCES, extra=OFFLINE)
    return found


def binary(bug: str | None = None) -> Path:
    """Return the worker, or a copy with a bug, built where the cache has none of these sources.

    Raises:
        EngineError: as `go` does.
        BuildFailed: it does not compile, or the patch does not fit any more.
    """
    parts = [path for path in sorted(SOURCES.iterdir()) if not path.name.endswith("_test.go")]
    parts += [bugs()[bug]] if bug else []
    digest = hashlib.sha256()
    for path in parts:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())

    def make(into: Path) -> None:
        compiler, folder = go(), into.parent / "source"
        shutil.copytree(SOURCES, folder)
        try:
            if bug:
                # No repository that the cache may lie in is to be looked for.
                alone = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
                run(["git", "apply", bugs()[bug]], what=f"breaking the worker by {bug}", folder=folder, extra=alone)
            run([compiler, "build", "-trimpath", "-o", into], what="building the worker", folder=folder, extra=OFFLINE)
        except EngineError as error:
            raise BuildFailed(str(error)) from None

    return cached(f"foreign-worker-{digest.hexdigest()[:16]}", make)


def main() -> None:
    """Build the worker and become it, or say where it is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bug", choices=sorted(bugs()))
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    try:
        found = binary(asked.bug)
    except (EngineError, BuildFailed) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(69)
    if not asked.words:
        sys.stdout.write(f"{found}\n")
        return
    os.execv(found, [found, *asked.words])  # noqa: S606 - the worker takes this process's place


if __name__ == "__main__":
    main()
