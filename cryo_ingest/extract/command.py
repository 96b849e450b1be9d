"""The command line and the environment of a Cryo process; `process.py` runs it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.errors import CryoNotRunnable
from cryo_ingest.rpc.listener import allow_connections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryo_ingest.ports import ExtractionRequest
    from cryo_ingest.settings import Settings

INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables that Cryo inherits: `MESC_*` would override its endpoint, and a proxy would see its keys.

The certificate variables are for builds of Cryo that read them; 0.3.2 trusts only the roots it was compiled with.
"""


CRYO_CALLS_IN_FLIGHT = 600
"""Cryo's concurrent requests to the gateway; each has a connection on loopback, so more cost more than they save."""

LOG_DATASETS = frozenset(("logs", "erc20_transfers", "erc721_transfers"))
"""Datasets for which `--inner-request-size` makes one call fetch several blocks."""


def find_executable(settings: Settings) -> Path:
    """Return the executable of the mode: `TRACE_CRYO_BIN`, or this distribution's `fake-cryo`.

    A name without a slash is searched on the PATH, then in this interpreter's directory, which has this package's
    commands.

    Raises:
        CryoNotRunnable: it is missing, or not executable.
    """
    name = settings.executable
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=beside) if settings.mode == "fake" else None
    found = found or shutil.which(name) or shutil.which(name, path=beside)
    if found is None:
        present = "/" in name and Path(name).exists()
        raise CryoNotRunnable(executable=name, reason="is not executable" if present else "does not exist")
    return Path(found)


def command_line(executable: Path, request: ExtractionRequest, *, settings: Settings) -> list[str]:
    """Build Cryo's arguments: the dataset first, then the payload's range (RNG-1).

    The output directory is the working directory, so that no path with white space can be split.
    """
    task = request.task
    arguments = [task.cryo_dataset_name, "--blocks", task.block_range, "--output-dir", ".", "--no-report"]
    arguments += ["--network-name", layout.network_name(task.chain_id)]
    if settings.uses_gateway:
        # The gateway keeps the limits; Cryo gives it as many calls as it can use.
        arguments += ["--max-concurrent-requests", str(allow_connections(CRYO_CALLS_IN_FLIGHT))]
        if task.cryo_dataset_name in LOG_DATASETS and settings.log_range > 1:
            arguments += ["--inner-request-size", str(settings.log_range)]
        return [*kill_with_parent(), str(executable), *arguments]
    if settings.requests_per_second is not None:
        arguments += ["--requests-per-second", str(settings.requests_per_second)]
    if settings.max_concurrent_requests is not None:
        arguments += ["--max-concurrent-requests", str(settings.max_concurrent_requests)]
    return [*kill_with_parent(), str(executable), *arguments]


def kill_with_parent() -> list[str]:
    """Return a wrapper command that makes the kernel kill Cryo when its worker dies, even by SIGKILL (STG-5).

    It replaces `preexec_fn`, which is unsafe with threads, and is part of util-linux, so every Linux has it. Without it
    (macOS) Cryo can outlive a killed worker; its inherited lock still protects the staging directory.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def environment(
    request: ExtractionRequest, settings: Settings, *, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Build Cryo's environment, the only place that gets the endpoint's URL (SEC-2).

    Cryo uses the proxy variables that it gets, so it gets them only if the worker's own client uses them too, and not
    for the gateway, which is on this machine.
    """
    variables = {name: inherited[name] for name in INHERITED if name in inherited}
    if not settings.uses_gateway:
        variables |= settings.proxies.variables
    if request.rpc_url is None:
        variables["FAKE_CRYO_CHAIN_ID"] = str(request.task.chain_id)
    else:
        variables["ETH_RPC_URL"] = request.rpc_url
    return variables
