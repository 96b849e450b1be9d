"""Binaries out of package managers, on the host: what images are made of, and what runs without one.

Each is pinned and checked by its manager: MinIO by Go's checksum database, anvil by the integrity in its lock file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from harness.containers.cache import cached
from harness.containers.engine import EngineError
from harness.resources import dockerfiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Say = Callable[[str], None]

MINIO_MODULE = "github.com/minio/minio"
MINIO_VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
ANVIL_PACKAGE = "@foundry-rs/anvil-linux-amd64"


def minio_binary(say: Say) -> Path:
    """Return a static MinIO, built from the Go module proxy where the cache has none.

    Raises:
        EngineError: there is no Go, or the build failed.
    """

    def make(into: Path) -> None:
        go = tool("go", why="building MinIO", instead="set HARNESS_MINIO_IMAGE to an image that has it")
        say(f"building {minio_pin()} with {go} (about 6 minutes, once)")
        settings = {"GOBIN": str(into.parent / "bin"), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
        run([go, "install", "-ldflags=-s -w", minio_pin()], what="building MinIO", extra=settings)
        (into.parent / "bin" / "minio").rename(into)

    return cached(f"minio-{MINIO_VERSION}", make)


def minio_pin() -> str:
    """Say what MinIO is built from."""
    return f"{MINIO_MODULE}@{MINIO_VERSION}"


def anvil_pin() -> str:
    """Say which package anvil comes from."""
    return f"{ANVIL_PACKAGE}@{anvil_version()}"


def anvil_version() -> str:
    """Return the version of anvil that the committed lock file pins."""
    lock = json.loads((dockerfiles() / "anvil" / "package-lock.json").read_text(encoding="utf-8"))
    version: str = lock["packages"][f"node_modules/{ANVIL_PACKAGE}"]["version"]
    return version


def anvil_binary(say: Say) -> Path:
    """Return anvil, installed from its npm package where the cache has none; npm checks the lock file's integrity.

    Raises:
        EngineError: there is no npm, or the installation failed.
    """

    def make(into: Path) -> None:
        npm = tool("npm", why="installing anvil", instead="set HARNESS_ANVIL_IMAGE for the container of it")
        say(f"installing {anvil_pin()} with {npm}")
        for name in ("package.json", "package-lock.json"):
            shutil.copy2(dockerfiles() / "anvil" / name, into.parent / name)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], what="installing anvil", folder=into.parent)
        (into.parent / "node_modules" / ANVIL_PACKAGE / "bin" / "anvil").rename(into)

    return cached(f"anvil-{anvil_version()}", make)


def tool(name: str, *, why: str, instead: str) -> str:
    """Return the path of a program of the host.

    Raises:
        EngineError: it is not there; the message says what it is for and what would do without it.
    """
    found = shutil.which(name)
    if found is None:
        raise EngineError(f"{why} needs {name}, which is not on the PATH: install it, or {instead}")
    return found


def run(
    command: Sequence[str | Path], *, what: str, folder: Path | None = None, extra: Mapping[str, str] | None = None
) -> None:
    """Run a package manager quietly.

    Raises:
        EngineError: it failed; its last words are in the message.
    """
    ended = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | dict(extra or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode != 0:
        words = "\n".join((ended.stdout + ended.stderr).splitlines()[-15:])
        raise EngineError(f"{what} failed: {Path(command[0]).name} ended with {ended.returncode}\n{words}")
