"""Rate limits, and faults that count requests instead of calls."""

import json
from collections.abc import Callable
from functools import partial

import pytest

from harness.fakes.rpc.node import Node
from harness.fakes.rpc.wire import Endpoint, Shared
from harness.faults import RpcFault
from harness.faults.rpc import Error, Hang, Outage, RateLimit, Status, read
from harness.world.chain import Chain

CHAIN = Chain(1, seed=2)


class Served:
    """An endpoint that is asked without a network, at times that the test sets."""

    def __init__(self, *faults: RpcFault, keep_journal: bool) -> None:
        self.now = 0.0
        shared = Shared(stop=lambda: None, clock=lambda: self.now, keep_journal=keep_journal)
        shared.script.extend(faults)
        self.shared, self._endpoint = shared, Endpoint(Node(CHAIN, head=1000), shared)

    def ask(self, calls: int, method: str = "eth_blockNumber"):
        """Send a batch of calls; return its parsed response, and how it is sent."""
        body = [{"id": number, "method": method, "params": []} for number in range(calls)]
        answered, wire = self._endpoint.reply(json.dumps(body).encode())
        return json.loads(answered), wire


Serve = Callable[..., Served]


@pytest.fixture(params=[True, False], ids=["journal", "no journal"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Both ways to answer have the same faults."""
    return partial(Served, keep_journal=request.param)


def test_a_request_over_the_rate_is_rejected_whole(serve: Serve):
    """Each call of a batch counts, a rejected batch takes nothing, and the bucket is refilled steadily."""
    served = serve(RateLimit(10, retry_after="1"))
    assert served.ask(7)[1] is None
    answered, head = served.ask(4)
    assert (head.status, head.retry_after) == (429, "1")
    assert [one["error"]["code"] for one in answered] == [-32005] * 4
    assert served.ask(3)[1] is None
    served.now = 0.5
    assert [served.ask(calls)[1] is None for calls in (6, 5, 1)] == [False, True, False]
    assert (served.shared.counts.rejected, served.shared.counts.calls) == (11, {"eth_blockNumber": 26})


def test_a_bucket_holds_no_more_than_its_burst(serve: Serve):
    """After a long pause `burst` calls pass at once; the harness's own methods are not limited."""
    served = serve(RateLimit(1, burst=2))
    served.now = 1000.0
    assert [served.ask(calls)[1] is None for calls in (3, 2)] == [False, True]
    assert served.ask(1, "harness_started")[1] is None


def test_a_limit_of_one_method_counts_its_calls_alone(serve: Serve):
    """Calls of other methods pass."""
    served = serve(RateLimit(1, method="eth_chainId"))
    assert served.ask(50)[1] is None
    assert [served.ask(1, "eth_chainId")[1] is None for _ in range(2)] == [True, False]


def test_a_fault_can_count_requests(serve: Serve):
    """With `counts` = requests every second request is spoilt, however many calls each has."""
    fault = Status(503, counts="requests", nth=2, every=2)
    served = serve(fault)
    assert [served.ask(calls)[1] for calls in (5, 1, 40, 2)] == [None, fault, None, fault]
    assert (served.shared.counts.faulted, served.shared.counts.faulted_requests) == (3, 2)


def test_a_fault_of_requests_applies_to_every_call_of_one(serve: Serve):
    """An error is the answer to each call, an outage rejects the request, and a hang answers none."""
    faults = Error(-32005, "slow down", counts="requests", times=1), Hang(counts="requests", nth=2, times=1)
    served = serve(*faults, Outage(counts="requests", nth=3, times=1, form="each"))
    assert [one["error"]["code"] for one in served.ask(3)[0]] == [-32005] * 3
    assert served.ask(3)[1] == faults[1]
    assert [one["error"]["code"] for one in served.ask(2)[0]] == [-32603] * 2
    assert [one["result"] for one in served.ask(2)[0]] == ["0x3e8"] * 2


def test_rate_limits_are_read_from_json():
    """`do` names the action, and a rate of zero is an error."""
    assert read([{"do": "rate-limit", "calls_per_second": 200}]) == [RateLimit(200)]
    with pytest.raises(ValueError, match=r"0\.rate-limit\.calls_per_second"):
        read([{"do": "rate-limit", "calls_per_second": 0}])
