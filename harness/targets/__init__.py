"""Targets: how to start a worker in any language, and how it gets its tasks.

`cmd:COMMAND LINE` expects the commands `run` and `worker` of docs/reference.md; a TOML file describes any other worker.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from harness.targets.file import read
from harness.targets.image import docker_command
from harness.targets.target import BadTarget, Target

__all__ = ["DEFAULT", "REFERENCE", "BadTarget", "Target", "find", "search_path"]

DEFAULT = "cmd:cryo-ingest"
REFERENCE = "reference"
FORMS = "cmd:COMMAND LINE, image:NAME, py:MODULE:FUNCTION, a TOML file, or reference"


def search_path() -> str:
    """Return the PATH for workers and their Cryo: the scripts of this distribution come first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def find(text: str = DEFAULT, *, bug: str | None = None) -> Target:
    """Return a target by its name, in one of the `FORMS`; `bug` is a bug of the reference worker.

    Raises:
        BadTarget: the name has another form, names no command, image or file, or the target can't have a bug.
    """
    if text == REFERENCE:
        extra = (("HARNESS_REFERENCE_BUG", bug),) if bug else ()
        return Target(text, (sys.executable, "-m", "harness.reference"), extra)
    if bug is not None:
        raise BadTarget(f"--bug {bug}: only the target `reference` has bugs to switch on, not {text!r}")
    if text.endswith(".toml"):
        return _of_file(Path(text))
    kind, _, rest = text.partition(":")
    if kind == "cmd":
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise BadTarget(f"target {text!r}: {error}: quotes must come in pairs, as in a shell") from None
        return Target(text, _executable(text, tuple(words)))
    if kind == "image" and rest:
        return Target(text, docker_command(rest), in_container=True)
    if kind == "py" and rest.count(":") == 1:
        command = (sys.executable, "-m", "harness.targets.inprocess", rest)
        return Target(text, command, delivery=frozenset({"payload-stdin"}))
    raise BadTarget(f"no target {text!r}: write {FORMS}")


def _of_file(path: Path) -> Target:
    file = read(path)
    root = file.staging_root
    if root is not None and root.exists():
        raise BadTarget(f"{path}: staging_root {root} exists already: the harness creates and deletes it")
    if root is not None and not (root.parent.is_dir() and os.access(root.parent, os.W_OK)):
        raise BadTarget(f"{path}: staging_root {root}: it can't be created in {root.parent}")
    return file.target(_executable(str(path), file.command, beside=path.resolve().parent))


def _executable(name: str, command: tuple[str, ...], beside: Path | None = None) -> tuple[str, ...]:
    """Return a command with its program's path; a relative path is relative to the file that names it."""
    program = command[0] if command else ""
    if beside is not None and "/" in program:
        program = str(beside / program)
    found = shutil.which(program, path=search_path()) if program else None
    if found is None:
        raise BadTarget(f"target {name!r}: there is no executable {program!r} on the PATH")
    return (found, *command[1:])
