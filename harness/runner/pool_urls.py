"""Looks for the URL of the RPC pool in what a Cryo process was given: arguments, environment, files (RPC-3).

The values that are read never leave this module; a history only says where the URL was found. The source is /proc, so
it works for every worker and for real Cryo, also in a container on this machine.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.runner.secrecy import Secrets

Place = Literal["arguments", "environment", "files"]
SECRETS_OF_URLS = frozenset({"rpc-key", "canary"})
"""The secrets that a scenario puts into URLs."""
MAX_FILES = 1000
MAX_FILE_BYTES = 1 << 20


class PoolUrls:
    """The URLs of a pool: a text contains one if it has the key, in any encoding, or the address of a node."""

    def __init__(self, urls: Iterable[str], secrets: Secrets) -> None:
        ports = {port for url in urls if (port := urlsplit(url).port) is not None}
        # Not the host: in a container the same node has another one.
        self._address = re.compile(rf":(?:{'|'.join(map(str, sorted(ports))) or '(?!)'})(?!\d)")
        self._secrets = secrets

    def places(self, pid: int, arguments: list[str]) -> tuple[Place, ...] | None:
        """Return where a process has a URL of the pool, or None if the process can't be found.

        `arguments` are what the process reported or what was found; they tell it from another one with its id in
        another container.
        """
        process = _find(pid, arguments)
        if process is None:
            return None
        try:
            words, variables = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            return None
        found: list[Place] = []
        if self._is_in(words.decode(errors="replace")):
            found.append("arguments")
        if self._is_in(variables.decode(errors="replace")):
            found.append("environment")
        if any(self._is_in(text) for text in _texts(process / "cwd")):
            found.append("files")
        return tuple(found)

    def _is_in(self, text: str) -> bool:
        if self._address.search(text):
            return True
        return not SECRETS_OF_URLS.isdisjoint(self._secrets.found_in(text))


def _find(pid: int, arguments: list[str]) -> Path | None:
    """Return the folder of a process in /proc, by its id if its arguments are right, else by its arguments."""
    wanted = "\0".join(arguments).encode() + b"\0"
    own = Path(f"/proc/{pid}")
    others = (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())
    for folder in (own, *others):
        try:
            if (folder / "cmdline").read_bytes().endswith(wanted):
                return folder
        except OSError:
            continue
    return None


def _texts(directory: Path) -> Iterator[str]:
    """Read the files below a process's working directory, but not those of a directory that is not its own."""
    try:
        top = directory.resolve(strict=True)
        paths = list(top.rglob("*"))[:MAX_FILES] if _is_private(top) else []
    except OSError:
        return
    for path in paths:
        try:
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_FILE_BYTES:
                yield path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue


def _is_private(directory: Path) -> bool:
    """Return whether only the owner may enter a directory, as for every staging directory (STG-2)."""
    return directory.stat().st_mode & 0o077 == 0
