"""The command line and the environment of one Cryo process. Running it is `process.py`'s."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.errors import CryoNotRunnable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryo_ingest.ports import ExtractionOrder
    from cryo_ingest.settings import Settings

INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""All that Cryo gets of our environment: `MESC_*` would override its endpoint, a proxy would see its keys.

The certificate variables are for a Cryo that was built to read them; 0.3.2 trusts the roots it was compiled with alone.
"""


def find_executable(settings: Settings) -> Path:
    """Return the executable that the mode picks: `TRACE_CRYO_BIN`, or this distribution's own `fake-cryo`.

    A bare name is looked for on the PATH, then beside this interpreter, where this package's own commands are.

    Raises:
        CryoNotRunnable: it is missing, or not executable.
    """
    name = settings.executable
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=beside) if settings.mode == "fake" else None
    found = found or shutil.which(name) or shutil.which(name, path=beside)
    if found is None:
        present = "/" in name and Path(name).exists()
        raise CryoNotRunnable(executable=name, reason="is not executable" if present else "is not there")
    return Path(found)


def command_line(executable: Path, order: ExtractionOrder, settings: Settings) -> list[str]:
    """Build Cryo's arguments: the dataset first, then the range as the payload has it (RNG-1).

    The output directory is the working directory, so no path has to survive anybody's splitting on white space.
    """
    task = order.task
    arguments = [task.cryo_dataset_name, "--blocks", task.block_range, "--output-dir", ".", "--no-report"]
    arguments += ["--network-name", layout.network_name(task.chain_id)]
    if settings.requests_per_second is not None:
        arguments += ["--requests-per-second", str(settings.requests_per_second)]
    if settings.max_concurrent_requests is not None:
        arguments += ["--max-concurrent-requests", str(settings.max_concurrent_requests)]
    return [*dies_with_its_parent(), str(executable), *arguments]


def dies_with_its_parent() -> list[str]:
    """Return the wrapper that has the kernel kill Cryo when its worker dies, even by SIGKILL (STG-5).

    An exec wrapper rather than `preexec_fn`, which is unsafe with threads. It is part of util-linux, so on every Linux.
    Without it (macOS) Cryo can outlive a killed worker; its inherited lock still guards the staging directory.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def environment(
    order: ExtractionOrder, settings: Settings, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Build Cryo's environment; the endpoint's URL travels here and nowhere else (SEC-2).

    Cryo obeys the proxy variables of itself, so it gets them where our own client uses them too, and only there.
    """
    variables = {name: inherited[name] for name in INHERITED if name in inherited} | dict(settings.proxies.variables)
    if order.rpc_url is None:
        variables["FAKE_CRYO_CHAIN_ID"] = str(order.task.chain_id)
    else:
        variables["ETH_RPC_URL"] = order.rpc_url
    return variables
