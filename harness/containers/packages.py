"""Binaries from package managers on the host, for images and for processes without an image.

Versions are pinned and the package managers check them: MinIO by Go's checksum database, anvil by its lock file.
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
    """Return a static MinIO; if the cache has none, build it from the Go module proxy.

    Raises:
        EngineError: there is no Go, or the build failed.
    """

    def make(into: Path) -> None:
        go = tool("go", why="building MinIO", instead="set HARNESS_MINIO_IMAGE to an image with it")
        say(f"building {minio_pin()} with {go} (about 6 minutes, once)")
        settings = {"GOBIN": str(into.parent / "bin"), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
        run([go, "install", "-ldflags=-s -w", minio_pin()], what="building MinIO", extra=settings)
        (into.parent / "bin" / "minio").rename(into)

    return cached(f"minio-{MINIO_VERSION}", make)


def minio_pin() -> str:
    """Return the Go module and version of MinIO."""
    return f"{MINIO_MODULE}@{MINIO_VERSION}"


def anvil_pin() -> str:
    """Return the npm package and version of anvil."""
    return f"{ANVIL_PACKAGE}@{anvil_version()}"


def anvil_version() -> str:
    """Return the version of anvil that the committed lock file pins."""
    lock = json.loads((dockerfiles() / "anvil" / "package-lock.json").read_text(encoding="utf-8"))
    version: str = lock["packages"][f"node_modules/{ANVIL_PACKAGE}"]["version"]
    return version


def anvil_binary(say: Say) -> Path:
    """Return anvil; if the cache has none, install its npm package, whose integrity npm checks with the lock file.

    Raises:
        EngineError: there is no npm, or the installation failed.
    """

    def make(into: Path) -> None:
        npm = tool("npm", why="installing anvil", instead="set HARNESS_ANVIL_IMAGE to an image with it")
        say(f"installing {anvil_pin()} with {npm}")
        for name in ("package.json", "package-lock.json"):
            shutil.copy2(dockerfiles() / "anvil" / name, into.parent / name)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], what="installing anvil", folder=into.parent)
        (into.parent / "node_modules" / ANVIL_PACKAGE / "bin" / "anvil").rename(into)

    return cached(f"anvil-{anvil_version()}", make)


def tool(name: str, *, why: str, instead: str) -> str:
    """Return the path of a program on the host.

    Raises:
        EngineError: it is missing; the message says what needs it and what to use instead.
    """
    path = shutil.which(name)
    if path is None:
        raise EngineError(f"{why} needs {name}, which is not on the PATH: install it, or {instead}")
    return path


def run(
    command: Sequence[str | Path], *, what: str, folder: Path | None = None, extra: Mapping[str, str] | None = None
) -> None:
    """Run a package manager quietly.

    Raises:
        EngineError: it failed; the message has its last lines.
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
        output = "\n".join((ended.stdout + ended.stderr).splitlines()[-15:])
        raise EngineError(f"{what} failed: {Path(command[0]).name} ended with {ended.returncode}\n{output}")
