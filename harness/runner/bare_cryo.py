"""Real Cryo for scenarios: an executable that runs it in a container, and the oracle for a real node.

The expected files are those of a run of the same Cryo without a worker, before the scenario starts.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

from harness.containers.engine import EngineError, engine_problem
from harness.containers.images import IMAGES, build
from harness.containers.reaper import OWNER_LABEL, owner_label, remove_all_of
from harness.world.content import facts_of

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

_SCRIPT = """#!/bin/sh
exec {docker} run --rm --label {label} --network host --user {user} --volume {folder}:{folder} --workdir "$PWD" \\
  --env ETH_RPC_URL {image} "$@"
"""


def containerized_cryo(stack: ExitStack, folder: Path) -> Path:
    """Return an executable that runs real Cryo in a container, in the caller's directory, which must be below `folder`.

    Raises:
        EngineError: there is no engine or no `docker` command, or the image could not be built.
    """
    problem, docker = engine_problem(), shutil.which("docker")
    if problem is not None or docker is None:
        raise EngineError(problem or "Cryo in a container needs the command docker on the PATH")
    owner = f"{owner_label()[OWNER_LABEL]}:{uuid.uuid4().hex[:12]}"
    stack.callback(remove_all_of, owner)
    program = folder / "bin" / "containerized-cryo"
    program.parent.mkdir()
    words = {
        "docker": docker,
        "label": f"{OWNER_LABEL}={owner}",
        "user": f"{os.getuid()}:{os.getgid()}",
        "folder": str(folder),
        "image": build(IMAGES["cryo"]),
    }
    program.write_text(_SCRIPT.format(**{name: shlex.quote(word) for name, word in words.items()}), encoding="utf-8")
    program.chmod(0o755)
    return program


def oracle_of(program: str, url: str, payload: dict[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    """Return the facts of each file that Cryo writes for a range, run without a worker.

    Raises:
        subprocess.CalledProcessError: Cryo failed.
    """
    folder.mkdir()
    blocks = f"{payload['range_start']}:{payload['range_end']}"
    subprocess.run(
        [program, payload["cryo_dataset_name"], "--blocks", blocks, "--no-report"],
        cwd=folder, env={"PATH": os.environ["PATH"], "ETH_RPC_URL": url}, check=True, capture_output=True,
    )  # fmt: skip
    return {path.name: facts_of(path.read_bytes()) for path in sorted(folder.glob("*.parquet"))}
