"""What `fake-cryo` asks of an endpoint: its chain id, as the real one does, and whether it is the harness's own."""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.request
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.fakes.cryo.arguments import CommandError


def chain_id_of(url: str) -> int:
    """Ask for the chain id, the first thing that Cryo does.

    Raises:
        CommandError: no answer, or none that is a chain id.
    """
    try:
        return int(call(url, "eth_chainId", []), 16)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CommandError(f"could not connect to provider: {type(error).__name__} for url ({url})") from None


def script_of(url: str, words: tuple[str, ...]) -> dict[str, Any]:
    """Ask the harness's own pool for this run's script, and tell it that the run has begun; others have none.

    A script of version 1 says which `seed` the pool's chain has.
    """
    started = {"arguments": list(words), "environment": sorted(os.environ), "pid": os.getpid()}
    try:
        call(url, "harness_started", [started])
        script: dict[str, Any] = call(url, "harness_script", [list(words)]) or {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    unknown = script.keys() - {"version", "seed"}
    if unknown:
        sys.stderr.write(f"error: the script holds what fake-cryo does not model: {', '.join(sorted(unknown))}\n")
        raise SystemExit(2)
    return script


def call(url: str, method: str, params: list[Any]) -> Any:
    """Make one JSON-RPC call and return its result; an error answer is a ValueError.

    An address without a scheme is taken as `http://`, as Cryo does.
    """
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    address, credentials = _without_credentials(url if "://" in url else f"http://{url}")
    headers = {"Content-Type": "application/json"} | credentials
    request = urllib.request.Request(address, body, headers)  # noqa: S310 - the operator's own endpoint
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as answer:
        content = json.loads(answer.read())
    if "result" not in content:
        message = f"{method} was answered with an error"
        raise ValueError(message)
    return content["result"]


def _without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """Turn `user:password@` into a Basic credential, as Cryo does."""
    parts = urlsplit(url)
    user_info, _, host = parts.netloc.rpartition("@")
    if not user_info:
        return url, {}
    encoded = base64.b64encode(unquote(user_info).encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {encoded}"}
