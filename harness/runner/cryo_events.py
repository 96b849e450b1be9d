"""Events of the node and of Cryo: calls, and the start of each Cryo, which fake Cryo reports and the watch sees."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.faults.rpc import HARNESS_METHOD_PREFIX, BatchLimit, Outage, RpcFault, Status
from harness.history import CryoStarted, CryoWrote, FaultFired, RpcCall
from harness.runner import staging
from harness.runner.pool_urls import PoolUrls
from harness.runner.processes import Watch, locked_below

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.fakes.rpc.journal import Call
    from harness.runner.recorder import Recorder


MAX_PARAMS = 200
"""Longer parameters are replaced by their hash."""


class CryoEvents:
    """Records calls to the nodes at `pool_urls` and starts of Cryo; `staging_root` is the workers'."""

    def __init__(self, recorder: Recorder, watch: Watch, staging_root: Path, pool_urls: Iterable[str]) -> None:
        self._recorder, self._watch, self._staging_root = recorder, watch, staging_root
        self._pool_urls = PoolUrls(pool_urls, recorder.secrets)
        self._started_already: set[tuple[int, tuple[str, ...]]] = set()

    def called(self, call: Call) -> None:
        """Record a call to the node; those of the harness's own methods are fake Cryo's reports."""
        if call.fault is not None:
            self._recorder.add(FaultFired, fault=f"rpc {call.method} #{call.number}")
        if call.method == "harness_started":
            report = call.params[0]
            self._started(report["pid"], report["arguments"], report["environment"])
        elif call.method == "harness_wrote":
            self._recorder.add(CryoWrote, name=call.params[0]["name"], digest=call.params[0]["sha256"])
        elif not call.method.startswith(HARNESS_METHOD_PREFIX):
            self._recorder.add(
                RpcCall, node=call.node, method=call.method, blocks=call.blocks, fault=call.fault is not None,
                params=_shortened(call.params), request=call.request, connection=call.connection,
                action=None if call.fault is None else call.fault.do, retry_after_seconds=_retry_after(call.fault),
            )  # fmt: skip

    def process_found(self, pid: int, words: list[str]) -> None:
        """Record the start of a Cryo that reports nothing itself, from its command line."""
        program = next((index for index, word in enumerate(words) if "cryo" in Path(word).name), 0)
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            variables = []
        names = [variable.split(b"=")[0].decode() for variable in variables]
        self._started(pid, words[program + 1 :], [name for name in names if name])

    def _started(self, pid: int, arguments: list[str], environment: list[str]) -> None:
        # A gateway may repeat a call whose response is late, even after that Cryo has ended.
        report = (pid, tuple(arguments))
        if report in self._started_already:
            return
        self._started_already.add(report)
        self._watch.note(pid)
        try:
            directory = str(Path(f"/proc/{pid}/cwd").resolve())
        except OSError:
            directory = ""
        event = self._recorder.add(
            CryoStarted,
            arguments=tuple(arguments),
            environment=tuple(environment),
            directory=directory,
            pid=pid,
            staged=staging.list_entries(self._staging_root),
            locked=locked_below(pid, self._staging_root),
            pool_url_in=self._pool_urls.places(pid, arguments),
        )
        self._watch.follow_cryo(pid, event.number)


def _shortened(params: Any) -> str:
    text = json.dumps(params, separators=(",", ":"), sort_keys=True)
    return text if len(text) <= MAX_PARAMS else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _retry_after(fault: RpcFault | None) -> float | None:
    """Return the seconds after which a node that answers 429 may be asked again, if the answer names them."""
    match fault:
        case Status(code=HTTPStatus.TOO_MANY_REQUESTS, retry_after=str(text)):
            pass
        case BatchLimit(status=HTTPStatus.TOO_MANY_REQUESTS, retry_after=str(text)):
            pass
        case Outage(status=HTTPStatus.TOO_MANY_REQUESTS, retry_after=str(text)):
            pass
        case _:
            return None
    return float(text) if text.isdecimal() else None
