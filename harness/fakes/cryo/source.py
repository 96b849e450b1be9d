"""The source of fake Cryo's chain: an endpoint, as for real Cryo, or the environment.

With an endpoint it calls `eth_chainId`, and `harness_script`, which only the fake pool has; an error there means that
there is no script. Without an endpoint, `FAKE_CRYO_CHAIN_ID` and `FAKE_CRYO_SEED` name the chain, and the files are
marked as fake data.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.fakes.cryo.arguments import EarlyExit
from harness.fakes.cryo.ranges import CryoError, ParsingError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.fakes.cryo.arguments import Arguments

NO_URL = "must provide --rpc or setup MESC or set ETH_RPC_URL"


class RpcFailed(CryoError):
    """A call failed; the message is Cryo's and contains the node's."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Failed to get block: {reason}")


@dataclass(frozen=True, slots=True)
class Source:
    """The chain to extract from; `url` is None without an endpoint, `script` is the scenario's script of faults."""

    chain_id: int
    seed: int
    url: str | None = field(default=None, repr=False)
    script: dict[str, Any] = field(default_factory=dict)

    def latest(self) -> int:
        """Return the endpoint's head.

        Raises:
            CryoError: there is no endpoint, or it does not answer.
        """
        if self.url is None:
            raise ParsingError("Error retrieving latest block number")
        return int(call(self.url, "eth_blockNumber"), 16)


def connect(arguments: Arguments, argv: list[str]) -> Source:
    """Find the endpoint as Cryo does (`--rpc`, else `ETH_RPC_URL`) and ask for its chain id.

    Raises:
        CryoError: neither an endpoint nor `FAKE_CRYO_CHAIN_ID` is set, or the endpoint does not answer.
        EarlyExit: MESC, a web socket or an IPC file is used; the fake models none of them.
    """
    url = arguments.rpc or os.environ.get("ETH_RPC_URL")
    if url is not None and not (url.startswith("ws") or url.endswith(".ipc")):
        url = url if url.startswith("http") else f"http://{url}"
        _report_start(url, argv)
    mesc = sorted(name for name in os.environ if name.startswith("MESC_"))
    if mesc:
        raise EarlyExit(f"error: fake-cryo does not model MESC ({', '.join(mesc)})")
    seed = int(os.environ.get("FAKE_CRYO_SEED", "0"))
    if url is None:
        offline = os.environ.get("FAKE_CRYO_CHAIN_ID")
        if offline is None:
            raise ParsingError(NO_URL)
        return Source(chain_id=int(offline), seed=seed)
    if url.startswith("ws") or url.endswith(".ipc"):
        raise EarlyExit("error: fake-cryo does not model ws:// and .ipc endpoints")
    chain_id = int(call(url, "eth_chainId"), 16)
    script = _script(url, argv)
    return Source(chain_id=chain_id, seed=int(script.get("seed", seed)), url=url, script=script)


def call(url: str, method: str, *params: object) -> Any:
    """Make one JSON-RPC call without a timeout, as Cryo does.

    Raises:
        RpcFailed: there was no answer, or it is not JSON with a result.
    """
    import base64  # noqa: PLC0415 (start-up must be fast, and without an endpoint these are not needed)
    import http.client  # noqa: PLC0415
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415

    parts = urlsplit(url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Content-Type": "application/json", "Accept": "*/*"}
    if parts.username is not None:
        user_info = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(user_info.encode()).decode()
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    body = json.dumps({"id": 1, "jsonrpc": "2.0", "method": method, "params": params})
    connection = make(parts.hostname or "", parts.port)
    try:
        connection.request("POST", target, body, headers)
        answer = connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise RpcFailed(f"error sending request for url ({url}): {error}") from None
    finally:
        connection.close()
    try:
        return json.loads(answer)["result"]
    except (ValueError, KeyError, TypeError):
        text = answer.decode(errors="replace")
        raise RpcFailed(f"Deserialization Error: expected value at line 1 column 1. Response: {text}") from None


def report_written(source: Source, path: Path) -> None:
    """Send the SHA-256 of a finished file to a fake pool, so that a scenario knows which bytes its worker got."""
    if source.url is None or not source.script:
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with contextlib.suppress(CryoError):
        call(source.url, "harness_wrote", {"name": path.name, "sha256": digest})


def _report_start(url: str, argv: list[str]) -> None:
    """Report this process to a fake pool before any error can end it; other endpoints do not have the method."""
    with contextlib.suppress(CryoError):
        call(url, "harness_started", {"arguments": argv, "environment": sorted(os.environ), "pid": os.getpid()})


def _script(url: str, argv: list[str]) -> dict[str, Any]:
    """Return a fake pool's script of faults; other endpoints have none."""
    try:
        script = call(url, "harness_script", argv)
    except CryoError:
        return {}
    return script if isinstance(script, dict) else {}
