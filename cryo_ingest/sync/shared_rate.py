"""One rate limit for all attempts that read from the same endpoints.

`TRACE_CRYO_REQUESTS_PER_SECOND` bounds one attempt. The attempts of a job share their provider's quota, so they share
the limit: each batch of calls waits for its turn, whichever stream sends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryo_ingest.rpc.rates import RateLimiter

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from cryo_ingest.meter import RpcMeter
    from cryo_ingest.ports import Chain, FindOther, Limiter, Node
    from cryo_ingest.settings import Settings
    from cryo_ingest.wiring import WorkerPorts


@dataclass(frozen=True, slots=True)
class RateLimitedChain:
    """Another `ports.Chain`, whose nodes all have the same limiter."""

    chain: Chain
    limiter: Limiter

    @property
    def meter(self) -> RpcMeter:
        """The counters of the other chain."""
        return self.chain.meter

    def open(
        self,
        url: str,
        *,
        name: str,
        deadline: float,
        limiter: Limiter | None = None,
        find_other: FindOther | None = None,
    ) -> AbstractAsyncContextManager[Node]:
        """Open one endpoint with the shared limiter instead of the attempt's."""
        del limiter
        return self.chain.open(url, name=name, deadline=deadline, limiter=self.limiter, find_other=find_other)


@dataclass(slots=True)
class SharedRates:
    """The collaborators of attempts by their pool; pools with the same URLs have the same limit."""

    ports: WorkerPorts
    settings: Settings
    _by_urls: dict[tuple[str, ...], WorkerPorts] = field(default_factory=dict)

    def ports_for(self, pool: str) -> WorkerPorts:
        """Return the collaborators for an attempt that reads from a pool.

        Raises:
            RpcPoolUnresolved: the pool has no URL.
        """
        if self.settings.requests_per_second is None or self.settings.mode == "fake":
            return self.ports
        urls = self.settings.rpc.resolve(pool)
        if urls not in self._by_urls:
            limiter = RateLimiter(self.ports.clock, self.settings.requests_per_second)
            self._by_urls[urls] = replace(self.ports, chain=RateLimitedChain(self.ports.chain, limiter))
        return self._by_urls[urls]
