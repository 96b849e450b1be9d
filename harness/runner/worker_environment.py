"""The environment variables that connect a worker to a node, a store, a queue, a dispatcher and a staging root.

The runner, `cryo-harness serve world` and the fixture `world` of the pytest plugin use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from harness.contract import Level
    from harness.fakes.dispatcher import DispatcherServer
    from harness.stores.bucket import Bucket
    from harness.stores.queue import Queue


@dataclass(frozen=True, slots=True)
class WorkerEnvironment:
    """The services and paths that a worker gets; a field is None if the worker gets none.

    `cryo` is the executable of mode `real`, `coverage` the level of proof that the worker is configured for.
    """

    mode: Literal["real", "fake"] = "real"
    node_url: str | None = None
    cryo: str | None = None
    coverage: Level | None = None
    bucket: Bucket | None = None
    queue: Queue | None = None
    dispatcher: DispatcherServer | None = None
    staging: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables of a worker (docs/reference.md).

        The keys of the store replace those of the queue: moto, which serves every queue, accepts any keys.
        """
        variables: dict[str, str] = {"TRACE_CRYO_MODE": self.mode}
        if self.mode == "real":
            given: dict[str, str | None] = {
                "TRACE_CRYO_BIN": self.cryo,
                "TRACE_COVERAGE": self.coverage,
                "TRACE_RPC_POOL_LOCAL_URL": self.node_url,
            }
            variables |= {name: value for name, value in given.items() if value is not None}
        if self.staging is not None:
            variables["TRACE_CRYO_STAGING_ROOT"] = str(self.staging)
        if self.dispatcher is not None:
            variables |= self.dispatcher.environment()
        if self.queue is not None:
            variables |= self.queue.environment()
        if self.bucket is not None:
            variables |= self.bucket.environment()
        return variables
