"""Where fake Cryo learns its chain: from an endpoint as the real one does, or from the environment without one.

With an endpoint it asks `eth_chainId`, and `harness_script`, which only the fake pool knows: any error means none.
Without one, `FAKE_CRYO_CHAIN_ID` and `FAKE_CRYO_SEED` name the chain, and the files bear the mark of fake data.
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
    """A call failed: what Cryo says of it, which holds what the node said."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Failed to get block: {reason}")


@dataclass(frozen=True, slots=True)
class Source:
    """The chain to extract from. `url` is None for a chain without an endpoint; `script` is what a scenario wants."""

    chain_id: int
    seed: int
    url: str | None = field(default=None, repr=False)
    script: dict[str, Any] = field(default_factory=dict)

    def latest(self) -> int:
        """Ask the endpoint for its head.

        Raises:
            CryoError: there is no endpoint, or it does not answer.
        """
        if self.url is None:
            raise ParsingError("Error retrieving latest block number")
        return int(call(self.url, "eth_blockNumber"), 16)


def connect(arguments: Arguments, argv: list[str]) -> Source:
    """Find the endpoint as Cryo does (`--rpc`, else `ETH_RPC_URL`) and ask which chain it has.

    Raises:
        CryoError: there is neither an endpoint nor `FAKE_CRYO_CHAIN_ID`, or it does not answer.
        EarlyExit: MESC, a web socket or an IPC file, none of which is modelled.
    """
    url = arguments.rpc or os.environ.get("ETH_RPC_URL")
    if url is not None and not (url.startswith("ws") or url.endswith(".ipc")):
        url = url if url.startswith("http") else f"http://{url}"
        _tell_started(url, argv)
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
    """Make one JSON-RPC call, without any timeout, as Cryo does.

    Raises:
        RpcFailed: there was no answer, or none that is JSON with a result.
    """
    import base64  # noqa: PLC0415 (without an endpoint none of these is needed, and start-up counts)
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


def tell_written(source: Source, path: Path) -> None:
    """Tell a fake pool the SHA-256 of a finished file, so that a scenario knows the bytes that its worker was given."""
    if source.url is None or not source.script:
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with contextlib.suppress(CryoError):
        call(source.url, "harness_wrote", {"name": path.name, "sha256": digest})


def _tell_started(url: str, argv: list[str]) -> None:
    """Tell a fake pool who begins, before anything can be refused; any other endpoint does not understand."""
    with contextlib.suppress(CryoError):
        call(url, "harness_started", {"arguments": argv, "environment": sorted(os.environ), "pid": os.getpid()})


def _script(url: str, argv: list[str]) -> dict[str, Any]:
    """Ask a fake pool what to do wrong; any other endpoint says nothing."""
    try:
        script = call(url, "harness_script", argv)
    except CryoError:
        return {}
    return script if isinstance(script, dict) else {}
