"""The folders that images are built from: a Debian root file system, unpacked locked wheels, our package, launchers.

All are made on the host; an image's build installs nothing. The wheels are those for the running interpreter, which
must be the images' interpreter: CPython 3.11 on Linux.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.containers.cache import cached
from harness.containers.engine import EngineError
from harness.containers.packages import run, tool
from harness.resources import checkout

if TYPE_CHECKING:
    from harness.containers.packages import Say

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
SUITE = "bookworm"
INCLUDED = "ca-certificates,python3,python3-venv"
IMAGE_PYTHON = (3, 11)
EXCLUDED = (
    "usr/share/locale/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
)
"""Files that no container needs; the licences in /usr/share/doc are kept."""

WORKER_PROGRAMS = {
    "cryo-ingest": "cryo_ingest.cli:main",
    "cryo-from-wheel": "cryo_ingest.from_wheel:main",
    "fake-cryo": "harness.fakes.cryo.cli:main",
}
"""The programs of the worker's image."""

WORKER_CRYO = "cryo-from-wheel"
"""The target of the link `cryo`, the default of `TRACE_CRYO_BIN`; the worker resolves it to know the binary."""

WORKER_SOURCES = ("cryo_ingest", "harness", "fixtures", "images", "pyproject.toml", "requirements/worker.lock")

UNUSED = ("pyarrow/tests", "pyarrow/include", "pyarrow/includes", "pyarrow/*flight*", "pyarrow/src", "bin")
"""Parts of the locked wheels that are never loaded: headers, tests, an RPC framework of 33 MB."""


def debian_pin() -> str:
    """Return a description of the Debian in the base image."""
    return f"Debian {SUITE}, minbase, with {INCLUDED}"


def debian_inputs() -> str:
    """Return a digest of the inputs of the root file system."""
    return _digest(SUITE, INCLUDED, *EXCLUDED)


def cryo_pin() -> str:
    """Return the package and version of Cryo."""
    return locked("cryo").split()[0]


def cryo_inputs() -> str:
    """Return a digest of the inputs of the image of Cryo."""
    return _digest(locked("cryo"), *UNUSED, (checkout() / "cryo_ingest" / "from_wheel.py").read_text(encoding="utf-8"))


def worker_pin() -> str:
    """Return a description of the contents of the worker's image."""
    return f"requirements/worker.lock with {cryo_pin()}, and this checkout"


def worker_inputs() -> str:
    """Return a digest of the inputs of the worker's image: every file of our wheel, and the lock file."""
    digest = hashlib.sha256(_digest(*UNUSED, *WORKER_PROGRAMS, WORKER_CRYO).encode())
    for name in WORKER_SOURCES:
        root = checkout() / name
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(checkout())).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def debian_root(say: Say) -> Path:
    """Return a tar file of a minimal Debian with Python; if the cache has none, make it with debootstrap.

    Raises:
        EngineError: there is no debootstrap, this is not root, or it failed.
    """

    def make(into: Path) -> None:
        instead = "set HARNESS_BASE_IMAGE to a slim image with Python 3.11"
        debootstrap = tool("debootstrap", why="building the base image", instead=instead)
        if os.geteuid() != 0:
            raise EngineError(f"building the base image needs root because of debootstrap: run as root, or {instead}")
        say(f"building Debian {SUITE} with debootstrap (about a minute, once)")
        root = into.parent / "root"
        try:
            run([debootstrap, "--variant=minbase", f"--include={INCLUDED}", SUITE, root], what="debootstrap")
        finally:
            # An interrupted debootstrap leaves these mounted; the host's files below them must not be deleted.
            for mounted in (root / "proc", root / "sys"):
                if mounted.is_mount():
                    run(["umount", "--lazy", mounted], what="unmounting after debootstrap")
        for pattern in EXCLUDED:
            for path in root.glob(pattern):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for path in root.glob("usr/share/doc/*/*"):
            if path.name != "copyright":
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        run(
            ["tar", "-C", root, "--one-file-system", "--numeric-owner", "-cf", into, "."], what="packing the base image"
        )

    return cached(f"debian-{debian_inputs()}.tar", make)


def wheels(requirements: str, say: Say) -> Path:
    """Return a folder with locked requirements unpacked, as `pip install --target` leaves them.

    Args:
        requirements: the lines of a lock file, hashes included.
        say: called with a message before a slow step.

    Raises:
        EngineError: the interpreter is not that of the images, or pip failed, for example because of a wrong hash.
    """

    def make(into: Path) -> None:
        if sys.version_info[:2] != IMAGE_PYTHON:
            raise EngineError(
                "the images have CPython 3.11: run `cryo-harness images build` with CPython 3.11 to get its wheels"
            )
        say("fetching the locked wheels with pip (once)")
        folder, lock = into.parent / "wheels", into.parent / "requirements.txt"
        lock.write_text(requirements, encoding="utf-8")
        # The lock is complete, so that pip resolves nothing and never uses a newer release.
        options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(lock), "-d", str(folder)]
        run([*PIP, "download", *options], what="pip download")
        _unpack(["--require-hashes", "-r", str(lock)], folder, into)
        for pattern in UNUSED:
            for path in into.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        compile_all(into)

    return cached(f"wheels-{_digest(requirements, *UNUSED)}", make)


def locked(name: str | None = None) -> str:
    """Return the text of the worker's lock file, or the lines of one package in it."""
    text = (checkout() / "requirements" / "worker.lock").read_text(encoding="utf-8")
    if name is None:
        return text
    match = re.search(rf"^{re.escape(name)}==.*\n(?:    --hash=.*\n)+", text, flags=re.MULTILINE)
    assert match is not None, name  # noqa: S101 - the lock file is committed with this code
    return match[0]


def own_package(into: Path) -> None:
    """Build this distribution's wheel from the checkout and unpack it into a folder.

    Raises:
        EngineError: the build failed.
    """
    folder = into.parent / "own-wheel"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run(build, what="building our own wheel", folder=checkout())
    _unpack([str(wheel) for wheel in folder.glob("*.whl")], folder, into)
    shutil.rmtree(folder)
    shutil.rmtree(into / "bin")
    compile_all(into)


def launcher(path: Path, *, folders: list[str], target: str) -> None:
    """Write an executable that adds `folders` to the module path and calls `target`, given as `module:function`."""
    module, _, function = target.partition(":")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!/usr/bin/env python3\nimport sys\n\nsys.path[:1] = {folders!r}\n\n"
        f"from {module} import {function}\n\n{function}()\n",
        encoding="utf-8",
    )
    path.chmod(0o755)


def compile_all(folder: Path) -> None:
    """Compile a folder to bytecode, which a read-only image can't do later; hash-based files are reproducible."""
    root = str(folder)
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", root, root]
    # Some wheels contain test data that is not valid Python; its errors are ignored.
    subprocess.run(command, check=False, capture_output=True)


def tini(say: Say) -> Path:
    """Return the static init of Debian's package `tini`, which apt fetches and checks.

    Raises:
        EngineError: apt is missing, or it failed.
    """

    def make(into: Path) -> None:
        say("fetching tini with apt-get download")
        apt = tool("apt-get", why="fetching tini for the worker image", instead="build the images on Debian")
        run([apt, "download", "-o", "APT::Sandbox::User=root", "tini"], what="fetching tini", folder=into.parent)
        (package,) = into.parent.glob("tini_*.deb")
        run(["dpkg-deb", "-x", package, into.parent / "tree"], what="unpacking tini")
        (into.parent / "tree" / "usr" / "bin" / "tini-static").rename(into)

    return cached("tini-static", make)


def _unpack(arguments: list[str], wheels: Path, into: Path) -> None:
    options = ["--no-index", "--find-links", str(wheels), "--no-deps", "--no-compile", "--target", str(into)]
    run([*PIP, "install", *options, *arguments], what="unpacking wheels")


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]
